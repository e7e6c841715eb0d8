'use strict';
// Reports to the daemon, once, that the process is ready or why it is not.

const fs = require('fs');

class Report {
  constructor(descriptor) {
    this.descriptor = descriptor;
    this.told = false;
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
    this.tell('ready\n');
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

  /** Does nothing when the daemon has been told already. */
  fail(summary, details) {
    if (!this.told && details) {
      fs.writeSync(2, `${details}\n`);
    }
    this.tell(`error ${String(summary).split('\n')[0]}\n${details}`);
  }

  tell(text) {
    if (this.told) {
      return;
    }
    this.told = true;
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
