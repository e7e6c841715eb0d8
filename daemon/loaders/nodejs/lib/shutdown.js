'use strict';
// Graceful shutdown at the end of descriptor 0: no more connections, active requests finish, then the process exits.

const net = require('net');
const { constants } = require('os');

/** Watches descriptor 0, whatever the app does with `process.stdin`: Node.js keeps the descriptor open. */
function watch(end, owner = process.stdin) {
  let ended = false;
  owner.on('error', () => {});
  owner.on('end', () => {
    ended = true;
    end();
  });
  // Libraries that read from terminals stop when they have read their line.
  owner.on('pause', () => owner.resume());
  const again = () => ended || watch(end, new net.Socket({ fd: 0, readable: true, writable: false }));
  if (owner.closed) {
    again();
    return;
  }
  owner.on('close', again);
  owner.resume();
  // A process whose servers are closed and that has nothing else to do ends, as everywhere.
  owner.unref();
}

/**
 * What is to be done when the process is to end.
 * @param {import('events').EventEmitter} passenger `PhusionPassenger`
 * @param {() => void} close ends an app that does not end itself
 */
function ending(passenger, close) {
  return () => askApp(passenger) || close();
}

/** Whether the app ends itself: it listens to one of the events that say so. The first is the one of Passenger. */
function askApp(passenger) {
  if (passenger.listenerCount('exit') > 0) {
    return passenger.emit('exit');
  }
  // In a worker of a cluster, messages are the app's own.
  if (!process.connected && process.listenerCount('message') > 0) {
    return process.emit('message', 'shutdown');
  }
  const signal = ['SIGTERM', 'SIGINT'].find((name) => process.listenerCount(name) > 0);
  return signal !== undefined && process.emit(signal, signal, constants.signals[signal]);
}

/** Closes the servers, then exits. */
function closing(socket) {
  return () => {
    const { servers } = socket;
    let open = servers.length;
    const closed = () => {
      open -= 1;
      if (open <= 0) {
        process.exit(0);
      }
    };
    if (open === 0) {
      closed();
    }
    servers.forEach((server) => {
      server.close(closed);
      if (server.closeIdleConnections) {
        server.closeIdleConnections();
      }
    });
  };
}

module.exports = { closing, ending, watch };
