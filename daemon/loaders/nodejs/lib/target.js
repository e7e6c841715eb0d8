'use strict';
// Parses the arguments of `server.listen()`, as Node.js documents them.

const net = require('net');
const os = require('os');

/** Ports that are not assigned to services; an app that leaves the choice to the system receives one of these. */
const FIRST_DYNAMIC_PORT = 49152;
const DYNAMIC_PORTS = 16384;

/**
 * @returns {{place: string, wanted: string, explicit: boolean, sockname: object | null, path: string | null,
 *   signal: AbortSignal, callback: Function} | null} the place that the server has, and the one that the app names (none
 *   for a port that the system is to choose); null for arguments that Node.js refuses
 */
function targetOf(args) {
  const [options, callback] = net._normalizeArgs(args);
  const { signal } = options;
  const target = placeOf(options, args);
  if (!target || (signal && !(typeof signal === 'object' && 'aborted' in signal))) {
    return null;
  }
  return { wanted: target.place, explicit: false, path: null, sockname: null, signal, callback, ...target };
}

function placeOf(options, args) {
  if (isPassenger(options.path)) {
    return { place: 'passenger', explicit: true, path: options.path };
  }
  const handle = options._handle || options.handle || options;
  if (typeof handle.getsockname === 'function' || (typeof handle.fd === 'number' && handle.fd >= 0)) {
    return portOf(nameOf(handle) || addressOf(0), 0);
  }
  const { path, host } = options;
  let { port } = options;
  const unspecified = args.length === 0 || typeof args[0] === 'function' || (port === undefined && 'port' in options);
  if (unspecified || port === null) {
    port = 0;
  }
  if (port !== undefined) {
    return isPort(port) ? portOf(addressOf(Number(port), host), Number(port)) : null;
  }
  return typeof path === 'string' && !(Number(path) >= 0) ? { place: `path ${path}`, path } : null;
}

function portOf(sockname, port) {
  return { place: `port ${sockname.port}`, wanted: port === 0 ? '' : `port ${port}`, sockname };
}

function isPassenger(path) {
  return path === 'passenger' || path === '/passenger';
}

function isPort(port) {
  if (typeof port === 'string' ? port.trim() === '' : typeof port !== 'number') {
    return false;
  }
  return Number.isInteger(Number(port)) && Number(port) >= 0 && Number(port) <= 65535;
}

/** What a handle that the app brought along is bound to. */
function nameOf(handle) {
  const name = {};
  return handle.getsockname && handle.getsockname(name) === 0 && name.port !== undefined ? name : null;
}

function addressOf(port, host) {
  const address = !host ? unspecifiedAddress() : host === 'localhost' ? '127.0.0.1' : host;
  return {
    address,
    family: net.isIPv6(address) ? 'IPv6' : 'IPv4',
    port: port || FIRST_DYNAMIC_PORT + (process.pid % DYNAMIC_PORTS),
  };
}

/** `::` where there is IPv6, as in Node.js. */
function unspecifiedAddress() {
  const addresses = Object.values(os.networkInterfaces()).flat();
  return addresses.some((each) => net.isIPv6(each.address)) ? '::' : '0.0.0.0';
}

module.exports = targetOf;
