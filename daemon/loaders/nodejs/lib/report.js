'use strict';
// Reports to the daemon, once, that the process is ready or why it is not.

const fs = require('fs');

class Report {
  constructor(descriptor) {
    this.descriptor = descriptor;
    this.isSent = false;
    // The last exception that nothing caught, in an array.
    this.uncaught = [];
    this.onUncaught = (error) => {
      this.uncaught = [error];
      if (!isHandled()) {
        this.ended();
        process.exit(1);
      }
    };
    // Not the event that the app may listen to: an app that does goes on, as it does without the loader.
    process.on('uncaughtExceptionMonitor', this.onUncaught);
    // The app is about to be loaded: everything before went well.
    fs.writeSync(descriptor, 'loading\n');
  }

  ready() {
    process.removeListener('uncaughtExceptionMonitor', this.onUncaught);
    this.send('ready\n');
  }

  /** The process ends. */
  ended() {
    const [error] = this.uncaught;
    if (this.uncaught.length > 0) {
      this.fail(`the app failed while it was loaded: ${textOf(error)}`, stackOf(error));
    } else {
      this.fail('the app ended without listening on a port', '');
    }
  }

  /** Does nothing when a report has been sent. */
  fail(summary, details) {
    this.send(`error ${String(summary).split('\n')[0]}\n${details}`);
  }

  send(text) {
    if (this.isSent) {
      return;
    }
    this.isSent = true;
    fs.writeSync(this.descriptor, text);
    fs.closeSync(this.descriptor);
  }
}

/** Whether the app handles exceptions that nothing caught. */
function isHandled() {
  return process.listenerCount('uncaughtException') > 0 || process.hasUncaughtExceptionCaptureCallback();
}

/** Anything can be thrown. */
function textOf(error) {
  try {
    return String(error);
  } catch {
    return 'an object without a text';
  }
}

function stackOf(error) {
  return String((error && error.stack) || textOf(error));
}

Object.assign(Report, { isHandled, stackOf, textOf });
module.exports = Report;
