'use strict';
// The daemon starts as many processes as are needed; an app that forks workers of its own would take its place.

/** Makes the app believe that it is the only process. */
function neutralise() {
  const cluster = require('cluster');
  cluster.isMaster = true;
  cluster.isPrimary = true;
  cluster.isWorker = false;
  cluster.setupMaster = () => {};
  cluster.setupPrimary = () => {};
  cluster.fork = () => {
    throw new Error('cluster.fork() is not needed here: the daemon starts processes by itself');
  };
}

module.exports = { neutralise };
