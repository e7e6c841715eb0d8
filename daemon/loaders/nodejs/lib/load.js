'use strict';
// Loads the app's startup file, and classifies the errors.

const fs = require('fs');
const Module = require('module');
const { pathToFileURL } = require('url');
const { isHandled, stackOf, textOf } = require('./report');

/** Loads the file as CommonJS, or as an ES module if it is one. */
async function load(file, report) {
  if (!fs.existsSync(file)) {
    fail(report, `the app is missing: there is no startup file ${file}`, '');
  }
  process.argv[1] = file;
  try {
    await loadEither(file);
  } catch (error) {
    if (isHandled()) {
      setImmediate(() => {
        throw error;
      });
      return;
    }
    fail(report, summary(error), stackOf(error));
  }
}

async function loadEither(file) {
  try {
    // As the main module: `require.main === module` is how many apps ask whether they are to listen.
    Module._load(file, null, true);
  } catch (error) {
    if (error?.code !== 'ERR_REQUIRE_ESM' && error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') {
      throw error;
    }
    await import(pathToFileURL(file).href);
  }
}

function summary(error) {
  if (error && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
    return `something the app needs is missing: ${error.message}`;
  }
  if (error instanceof SyntaxError) {
    return `the app has a syntax error: ${error.message}`;
  }
  return `the app failed while it was loaded: ${textOf(error)}`;
}

function fail(report, text, details) {
  report.fail(text, details);
  process.exit(1);
}

module.exports = load;
