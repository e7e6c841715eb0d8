'use strict';
// The end of descriptor 0: no further connections, requests finish, then the process ends.

/**
 * Watches descriptor 0.
 * @param {import('http').Server} server the app's server
 * @param {import('events').EventEmitter} passenger `PhusionPassenger`; an app that listens to its `exit` ends itself
 */
function watch(server, passenger) {
  const owner = process.stdin;
  owner.on('error', () => {});
  owner.on('end', () => end(server, passenger));
  owner.resume();
}

function end(server, passenger) {
  if (passenger.listenerCount('exit') > 0) {
    passenger.emit('exit');
    return;
  }
  if (process.listenerCount('message') > 0) {
    process.emit('message', 'shutdown');
    return;
  }
  server.close(() => process.exit(0));
  if (server.closeIdleConnections) {
    server.closeIdleConnections();
  }
}

module.exports = { watch };
