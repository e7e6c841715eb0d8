'use strict';
// Starts a Node.js app: descriptor 3 listens, descriptor 4 reports (docs/APP-PROTOCOL.md).

const Report = require('./lib/report');
const cluster = require('./lib/cluster');
const install = require('./lib/install');
const load = require('./lib/load');
const shutdown = require('./lib/shutdown');

const LISTEN_FD = 3;
const REPORT_FD = 4;

const report = new Report(REPORT_FD);
const startupFile = process.env.FLYING_PASSENGER_STARTUP_FILE;
process.title = `Passenger NodejsApp: ${process.env.FLYING_PASSENGER_GROUP || ''}`;
delete process.env.FLYING_PASSENGER_STARTUP_FILE;
delete process.env.FLYING_PASSENGER_GROUP;

const workers = cluster.prepare(LISTEN_FD, ready);
const { passenger, socket } = install(LISTEN_FD, ready);
const close = shutdown.closing(socket);
let watched = false;

function ready() {
  report.ready();
  if (!watched) {
    watched = true;
    shutdown.watch(shutdown.ending(passenger, () => workers.end(close)));
  }
}

process.on('exit', () => report.ended());
load(startupFile, report);
