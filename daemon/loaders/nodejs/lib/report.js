'use strict';
// Tells the daemon, once, that the process is ready or why it is not.

const fs = require('fs');

class Report {
  constructor(descriptor) {
    this.descriptor = descriptor;
    this.told = false;
    this.onUncaught = (error) => {
      this.fail(`the app failed while it was loaded: ${error}`, stackOf(error));
      process.exit(1);
    };
    process.on('uncaughtException', this.onUncaught);
    // The app is about to be loaded: everything before went well.
    fs.writeSync(descriptor, 'loading\n');
  }

  ready() {
    process.removeListener('uncaughtException', this.onUncaught);
    this.tell('ready\n');
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

function stackOf(error) {
  return (error && error.stack) || String(error);
}

Report.stackOf = stackOf;
module.exports = Report;
