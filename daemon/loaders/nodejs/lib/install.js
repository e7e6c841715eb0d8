'use strict';
// Redirects the app's first http.Server.listen() to the socket that the daemon opened.

const { EventEmitter } = require('events');
const http = require('http');

/**
 * Installs `PhusionPassenger` and the redirection.
 * @param {number} descriptor the listening socket
 * @param {(server: http.Server) => void} onListening called once the app's server listens
 */
function install(descriptor, onListening) {
  const passenger = new EventEmitter();
  const original = http.Server.prototype.listen;
  const state = { autoInstall: true, installed: false };

  passenger.configure = (options) => {
    if (options && options.autoInstall === false) {
      state.autoInstall = false;
    }
  };

  http.Server.prototype.listen = function listen(...args) {
    const wanted = state.autoInstall || isPassenger(args[0]);
    if (!wanted) {
      return original.apply(this, args);
    }
    if (state.installed) {
      throw new Error(
        'http.Server.listen() was called more than once, which is not allowed because the app is served through ' +
          "one socket. Call PhusionPassenger.configure({ autoInstall: false }) first, and listen('passenger') on " +
          'the server that is to be reached',
      );
    }
    state.installed = true;
    keepConnections(this);
    const callback = args.find((arg) => typeof arg === 'function');
    if (callback) {
      this.once('listening', callback);
    }
    this.once('listening', () => onListening(this));
    return original.call(this, { fd: descriptor });
  };

  global.PhusionPassenger = passenger;
  return passenger;
}

function isPassenger(first) {
  return first === 'passenger' || first === '/passenger' || (first && first.path === 'passenger');
}

/** The daemon decides when a connection ends, and nginx how long an upload may take. */
function keepConnections(server) {
  server.keepAliveTimeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  server.timeout = 0;
  if ('maxRequestsPerSocket' in server) {
    server.maxRequestsPerSocket = 0;
  }
}

module.exports = install;
