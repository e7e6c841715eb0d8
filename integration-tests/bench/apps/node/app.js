'use strict';
// The hello app in JavaScript: twelve bytes, and a mebibyte at /big.

const http = require('http');

const HELLO = Buffer.from('hello world\n');
const BIG = Buffer.alloc(1048576, 'x');

const server = http.createServer((request, response) => {
  const body = request.url === '/big' ? BIG : HELLO;
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
  response.end(body);
});

// Without a daemon the socket is named by the benchmark, and connections stay open as long as nginx wants them.
server.keepAliveTimeout = 0;
server.listen(process.env.HELLO_SOCKET || 3000);
