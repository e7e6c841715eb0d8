'use strict';
// HTTP/1.1 for servers of any kind: nginx ends TLS and HTTP/2, and the daemon sends HTTP/1.1 without TLS.

const http = require('http');

const adapted = new WeakSet();
const FORWARDED = ['request', 'upgrade', 'connect', 'checkContinue', 'checkExpectation', 'clientError'];

/** The kind of a server: `http`, `https`, `http2`, or null for one that is no HTTP server. */
function kindOf(server) {
  if (server instanceof http.Server) {
    return 'http';
  }
  // By method, as loading the modules costs time that most apps need not spend.
  if (typeof server.updateSettings === 'function') {
    return 'http2';
  }
  return typeof server.closeIdleConnections === 'function' ? 'https' : null;
}

/**
 * Makes the server use HTTP/1.1 without TLS, and lets the daemon decide when connections end.
 * @returns {boolean} false, and a line in the log, if the server cannot do so
 */
function adapt(server, kind) {
  if (adapted.has(server)) {
    return true;
  }
  if (kind === 'http2' && server.listenerCount('request') === 0) {
    console.error(
      'Passenger: an http2 server without a listener for "request" is not reached through nginx, as the daemon sends ' +
        'HTTP/1.1; it listens by itself. To have it served, handle "request", or use http.createServer()',
    );
    return false;
  }
  adapted.add(server);
  if (kind === 'https') {
    withoutTls(server, (connection) => server.emit('secureConnection', connection));
  } else if (kind === 'http2') {
    const inner = http.createServer();
    FORWARDED.filter((name) => server.listenerCount(name) > 0).forEach((name) => {
      inner.on(name, (...args) => server.emit(name, ...args));
    });
    keepConnections(inner);
    withoutTls(server, (connection) => inner.emit('connection', connection));
  }
  keepConnections(server);
  return true;
}

/** Replaces what the constructor does with a connection: a TLS handshake, or HTTP/2. */
function withoutTls(server, onConnection) {
  server.removeListener('connection', server.listeners('connection')[0]);
  server.on('connection', onConnection);
}

/** The daemon decides when a connection ends, and nginx how long an upload may take. */
function keepConnections(server) {
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  server.timeout = 0;
  server.maxRequestsPerSocket = 0;
  // Many apps set this one after `listen`; a connection that ends while the daemon sends a request is a lost request.
  Object.defineProperty(server, 'keepAliveTimeout', { configurable: true, enumerable: true, get: () => 0, set() {} });
}

module.exports = { adapt, kindOf };
