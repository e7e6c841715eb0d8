'use strict';
// `server.listen()`: the app's HTTP server listens on the socket that the daemon opened, other servers really listen.

const { EventEmitter } = require('events');
const net = require('net');
const Socket = require('./socket');
const protocols = require('./protocols');
const targetOf = require('./target');

/**
 * Installs `PhusionPassenger` and the redirection.
 * @param {number} descriptor the listening socket
 * @param {(address: object | string) => void} onListening called once, when the app is reached
 * @returns {{passenger: EventEmitter, socket: Socket}}
 */
function install(descriptor, onListening) {
  const passenger = new EventEmitter();
  const socket = new Socket(descriptor);
  const state = { autoInstall: true, place: null, reported: false };

  passenger.configure = (options) => {
    if (options && options.autoInstall === false) {
      state.autoInstall = false;
    }
  };

  const original = net.Server.prototype.listen;
  net.Server.prototype.listen = function listen(...args) {
    const kind = protocols.kindOf(this);
    const target = kind && !this._handle && !socket.closed ? targetOf(args) : null;
    if (!target || !isServed(target, state, socket) || !protocols.adapt(this, kind)) {
      return original.apply(this, args);
    }
    this._handle = socket.join(this, target.sockname, target.explicit && state.place !== 'passenger');
    this._pipeName = target.path;
    state.place = target.place;
    if (target.callback) {
      this.once('listening', target.callback);
    }
    if (target.signal) {
      closeOnAbort(this, target.signal);
    }
    this.once('listening', () => {
      if (!state.reported) {
        state.reported = true;
        onListening(this.address());
      }
    });
    // The second half of `listen()`, for a server that has its handle.
    this._listen2(null, null, null);
    return this;
  };

  global.PhusionPassenger = passenger;
  return { passenger, socket };
}

/** The first server that listens is, each that asks for the same place, and each that asks for `passenger`. */
function isServed(target, state, socket) {
  if (target.explicit) {
    return true;
  }
  return state.autoInstall && (socket.servers.length === 0 || state.place === target.wanted);
}

function closeOnAbort(server, signal) {
  const onAborted = () => server.close();
  if (signal.aborted) {
    process.nextTick(onAborted);
    return;
  }
  signal.addEventListener('abort', onAborted, { once: true });
  server.once('close', () => signal.removeEventListener('abort', onAborted));
}

module.exports = install;
