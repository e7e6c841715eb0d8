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

cluster.neutralise();
const passenger = install(LISTEN_FD, (server) => {
  report.ready();
  shutdown.watch(server, passenger);
});

process.on('exit', () => report.fail('the app ended without listening on a port', ''));
load(startupFile, report);
