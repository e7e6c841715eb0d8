'use strict';
// The listening socket of the process, shared by the servers of the app that are reached through it.

const net = require('net');

/** How long connections wait for a server to listen again before the socket is closed. */
const PATIENCE_MS = 10_000;

class Socket {
  /** @param {number} descriptor a socket that is bound and listens */
  constructor(descriptor) {
    this.descriptor = descriptor;
    this.handle = null;
    this.closed = false;
    this.members = [];
    this.waiting = [];
    this.timer = null;
  }

  /**
   * A handle for a server, which net.Server uses as it uses one of libuv. Closing it leaves the socket open, so that
   * the app can listen again.
   * @param {net.Server} server
   * @param {{address: string, family: string, port: number} | null} sockname what `server.address()` is to return
   * @param {boolean} first whether it gets the requests of those before it
   */
  join(server, sockname, first) {
    const handle = this.open();
    const member = {
      server,
      keepsAlive: true,
      listen: () => this.add(member, first),
      close: (callback) => this.remove(member, callback),
      ref: () => this.keep(member, true),
      unref: () => this.keep(member, false),
      hasRef: () => member.keepsAlive,
      getAsyncId: () => handle.getAsyncId(),
      fd: this.descriptor,
    };
    if (sockname) {
      member.getsockname = (out) => {
        Object.assign(out, sockname);
        return 0;
      };
    }
    return member;
  }

  /** The servers that listen. */
  get servers() {
    return this.members.map((member) => member.server);
  }

  open() {
    if (!this.handle) {
      const owner = new net.Server();
      // The first half of `listen()`, without a cluster's primary process.
      owner._listen2(null, null, null, null, this.descriptor);
      owner._handle.onconnection = (...args) => this.accept(...args);
      this.handle = owner._handle;
    }
    return this.handle;
  }

  add(member, first) {
    this.members[first ? 'unshift' : 'push'](member);
    clearTimeout(this.timer);
    this.keep(member, true);
    const waiting = this.waiting.splice(0);
    if (waiting.length > 0) {
      setImmediate(() => waiting.forEach((connection) => this.accept(0, connection)));
    }
    return 0;
  }

  remove(member, callback) {
    const at = this.members.indexOf(member);
    if (at >= 0) {
      this.members.splice(at, 1);
    }
    this.keep(member, false);
    if (at >= 0 && this.members.length === 0) {
      this.timer = setTimeout(() => this.close(), PATIENCE_MS);
      this.timer.unref();
    }
    member.server._pipeName = null;
    if (callback) {
      process.nextTick(callback);
    }
  }

  /** The process stays as long as one of the servers wants it to. */
  keep(member, keepsAlive) {
    member.keepsAlive = keepsAlive;
    this.handle[this.members.some((each) => each.keepsAlive) ? 'ref' : 'unref']();
  }

  /** The first server that listens gets every connection. */
  accept(status, connection) {
    if (this.members.length > 0) {
      this.members[0].onconnection(status, connection);
    } else if (connection) {
      this.waiting.push(connection);
    }
  }

  /** The daemon finds the socket closed, and replaces the process. */
  close() {
    this.waiting.splice(0).forEach((connection) => connection.close());
    this.handle.close();
    this.closed = true;
  }
}

module.exports = Socket;
