'use strict';
// A worker of the app's cluster, loaded before the app: descriptor 3 listens, as in the primary process.

const { END } = require('./cluster');
const install = require('./install');
const shutdown = require('./shutdown');

const LISTEN_FD = 3;

if (require('cluster').isWorker) {
  const { passenger, socket } = install(LISTEN_FD, (address) => {
    const { port, family } = typeof address === 'object' ? address : {};
    const place = typeof address === 'object' ? address.address : address;
    const addressType = family === 'IPv6' ? 6 : family === 'IPv4' ? 4 : -1;
    // What Node's own `listen()` sends in a worker.
    process.send({ cmd: 'NODE_CLUSTER', act: 'listening', address: place, port, addressType });
  });
  process.on('disconnect', () => socket.servers.forEach((server) => server.close()));
  const end = shutdown.ending(passenger, shutdown.closing(socket));
  process.on('internalMessage', (message) => message.cmd === END.cmd && end());
}
