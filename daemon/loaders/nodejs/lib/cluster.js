'use strict';
// Workers that the app forks with Node's cluster module: they inherit the listening socket and serve requests.

const cluster = require('cluster');
const { EventEmitter } = require('events');
const path = require('path');

/** To a worker; not seen by the app, as Node.js keeps messages with such a name from it. */
const END = { cmd: 'NODE_FLYING_PASSENGER_END' };
const WORKER = path.join(__dirname, 'worker.js');

/**
 * Prepares `cluster.fork()`.
 * @param {number} descriptor the listening socket
 * @param {() => void} onListening called when a worker listens
 * @returns {{end: (then: () => void) => void}}
 */
function prepare(descriptor, onListening) {
  const fork = cluster.fork;
  let ending = false;

  cluster.fork = function forkWorker(...args) {
    if (ending) {
      return new cluster.Worker({ process: new EventEmitter() });
    }
    handOver(descriptor);
    return fork.apply(this, args);
  };
  cluster.on('listening', onListening);

  /** For a primary process that does not end its workers itself; no other worker takes their place. */
  function end(then) {
    ending = true;
    const workers = Object.values(cluster.workers).filter((worker) => worker.isConnected());
    workers.forEach((worker) => worker.send(END));
    const check = () => Object.keys(cluster.workers).length === 0 && then();
    cluster.on('exit', check);
    check();
  }

  return { end };
}

/** What the app has set itself stays. */
function handOver(descriptor) {
  const { execArgv = process.execArgv, stdio, silent } = cluster.settings;
  const each = silent ? 'pipe' : 'inherit';
  const [, out, err] = Array.isArray(stdio) ? stdio : [each, each, each];
  const preload = execArgv.includes(WORKER) ? [] : ['--require', WORKER];
  cluster.setupPrimary({
    execArgv: [...execArgv, ...preload],
    stdio: ['ignore', out, err, descriptor, 'ipc'],
  });
}

module.exports = { END, prepare };
