// The standard app in JavaScript, for Node.js and as a generic app. README.md lists its routes.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');

const SCRATCH = path.join(fs.realpathSync(__dirname), 'scratch');
const NAME = path.basename(__filename) === 'server.js' ? 'generic' : 'node';

function sign(name, text = '') {
  const temporary = path.join(SCRATCH, `${name}.new${process.pid}`);
  fs.writeFileSync(temporary, String(text));
  fs.renameSync(temporary, path.join(SCRATCH, name));
}

function waitAtGate(name, then) {
  sign(`${name}.arrived`, process.pid);
  const timer = setInterval(() => {
    if (!fs.existsSync(path.join(SCRATCH, `${name}.go`))) return;
    clearInterval(timer);
    then();
  }, 5);
}

function text(res, body, headers = {}) {
  // No Buffer is made of it: small ones share slabs that only a full collection frees, which looks like a leak.
  res.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(body), ...headers });
  res.end(body);
}

function hashOf(req, then) {
  const sha = crypto.createHash('sha256');
  let length = 0;
  req.on('data', (part) => { sha.update(part); length += part.length; });
  req.on('end', () => then(sha.digest('hex'), length));
}

function gated(res, type, first, second, name) {
  res.writeHead(200, { 'Content-Type': type });
  res.write(first);
  waitAtGate(name, () => res.end(second));
}

function download(res, megabytes) {
  res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': megabytes * 1048576 });
  const part = Buffer.alloc(65536, 'x');
  let left = megabytes * 16;
  const more = () => {
    while (left > 0) {
      left -= 1;
      if (!res.write(part)) { res.once('drain', more); return; }
    }
    res.end();
  };
  more();
}

function endless(res, name) {
  sign(`${name}.arrived`, process.pid);
  res.writeHead(200, { 'Content-Type': 'text/plain' });
  const part = Buffer.alloc(65536, 'x');
  let closed = false;
  res.on('close', () => { closed = true; sign(`${name}.closed`); });
  const more = () => {
    while (!closed) {
      if (!res.write(part)) { res.once('drain', more); return; }
    }
  };
  more();
}

function firstPart(req, res) {
  let begun = false;
  let length = 0;
  req.on('data', (part) => {
    if (!begun) { begun = true; sign('first', part.subarray(0, 5)); }
    length += part.length;
  });
  req.on('end', () => text(res, `then ${length - 5}`));
}

function echo(req, res) {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => text(res, Buffer.concat(parts), { 'Content-Type': req.headers['content-type'] || 'text/plain' }));
}

const routes = {
  '/': (req, res) => text(res, `hello from ${NAME}\n`),
  '/pid': (req, res) => text(res, String(process.pid)),
  '/uid': (req, res) => text(res, `${process.getuid()} ${process.getgid()} ${process.env.USER} ${process.env.HOME}`),
  '/env': (req, res) => text(res, JSON.stringify({
    method: req.method, url: req.url, version: req.httpVersion, raw: req.rawHeaders })),
  '/environ': (req, res, query) => text(res, process.env[query.get('name')] ?? '(unset)'),
  '/echo': echo,
  '/hash': (req, res) => hashOf(req, (hex, length) => text(res, `${hex} ${length}`)),
  '/first': firstPart,
  '/stream': (req, res, query) => gated(res, 'text/plain', 'first\n', 'second\n', query.get('name')),
  '/sse': (req, res, query) => gated(res, 'text/event-stream', 'data: 1\n\n', 'data: 2\n\n', query.get('name')),
  '/wait': (req, res, query) => waitAtGate(query.get('name'), () => text(res, String(process.pid))),
  '/download': (req, res, query) => download(res, Number(query.get('mb'))),
  '/endless': (req, res, query) => endless(res, query.get('name')),
  '/status': (req, res, query) => { res.writeHead(Number(query.get('code'))); res.end(); },
  '/cookies': (req, res) => text(res, 'cookies', { 'Set-Cookie': ['a=1; Path=/', 'b=2; Path=/'] }),
  '/header': (req, res, query) => text(res, 'big', { 'X-Big': 'b'.repeat(Number(query.get('bytes'))) }),
  '/short': (req, res) => {
    res.writeHead(200, { 'Content-Length': 100 });
    res.write('only this', () => res.socket.destroySoon());
  },
  '/boom': () => { throw new Error('deliberate mistake'); },
  '/exit': () => process.exit(3),
  '/with': (req, res, query) => text(res, 'with a header', { [query.get('name')]: query.get('value') }),
  '/big': (req, res, query) => text(res, 'b'.repeat(Number(query.get('bytes')))),
  '/chunks': (req, res) => { res.writeHead(200); res.write('one,'); res.write('two,'); res.end('three'); },
  '/trailer': (req, res) => {
    if (req.method === 'HEAD') { res.end(); return; }
    res.writeHead(200, { Trailer: 'X-Sum' });
    res.write('body');
    res.addTrailers({ 'X-Sum': '1' });
    res.end();
  },
  '/accel': (req, res) => text(res, 'hidden', { 'X-Accel-Redirect': '/internal/secret.txt' }),
};

const server = http.createServer((req, res) => {
  const at = new URL(req.url, 'http://localhost');
  const route = routes[at.pathname];
  if (route) { route(req, res, at.searchParams); return; }
  res.writeHead(404, { 'Content-Type': 'text/plain' });
  res.end(`no route ${at.pathname}`);
});

// A WebSocket that sends each frame's payload back; short frames only.
server.on('upgrade', (req, socket, head) => {
  const key = `${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let pending = head;
  const answer = (part) => {
    pending = Buffer.concat([pending, part]);
    while (pending.length >= 6 && pending.length >= 6 + (pending[1] & 0x7f)) {
      const length = pending[1] & 0x7f;
      const payload = Buffer.from(pending.subarray(6, 6 + length)).map((byte, i) => byte ^ pending[2 + (i % 4)]);
      socket.write(Buffer.concat([Buffer.from([pending[0], length]), payload]));
      if ((pending[0] & 0x0f) === 8) socket.end();
      pending = pending.subarray(6 + length);
    }
  };
  socket.on('data', answer);
  socket.on('end', () => socket.end());
  socket.on('close', () => sign('websocket.closed'));
  socket.on('error', () => {});
  answer(Buffer.alloc(0));
});

server.listen(process.env.PORT || 3000, '127.0.0.1');
