'use strict';
// A Node.js app. The port it names does not matter: the daemon gives it a separate socket.

const http = require('http');

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain');
  response.end(
    `Hello from Node.js ${process.versions.node}, process ${process.pid}, ` +
      `NODE_ENV=${process.env.NODE_ENV}, you asked for ${request.url}\n`,
  );
});

server.listen(3000);
