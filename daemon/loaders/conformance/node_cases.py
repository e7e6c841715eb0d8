"""Node's documentation of `server.listen()` as a table of cases, run by plain Node.js and behind the loader."""

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from loader import LOADERS, PATIENCE, Loader

COMMAND = ["node", str(LOADERS / "nodejs/node-loader.js")]

PRELUDE = r"""
const fs = require('fs');
const http = require('http');
const net = require('net');
const { once } = require('events');
const say = (...parts) => console.log('say', ...parts.map((part) => JSON.stringify(part) ?? 'undefined'));
const code = (f) => { try { f(); return 'no error'; } catch (error) { return error.code; } };
const closed = (server) => new Promise((resolve) => server.close((error) => resolve(error?.code ?? 'closed')));
const server = http.createServer((request, response) => response.end('first'));
const other = http.createServer((request, response) => response.end('other'));
const PATH = __dirname + '/app.socket';
async function main() {
%s
}
main().then(() => console.log('done'), (error) => console.log('failed', error.stack, 'done'));
"""

# Name, app, expected report. PORT is an unused port.
DOCUMENTED = [
    ("port", "server.listen(PORT); await once(server, 'listening'); say(server.address());",
     ['{"address":"::","family":"IPv6","port":PORT}']),
    ("port and callback", "await new Promise((then) => server.listen(PORT, then)); say(server.address().port);", ["PORT"]),
    ("string port", "server.listen('PORT'); await once(server, 'listening'); say(server.address().port);", ["PORT"]),
    ("port and host", "server.listen(PORT, '127.0.0.1'); await once(server, 'listening'); say(server.address());",
     ['{"address":"127.0.0.1","family":"IPv4","port":PORT}']),
    ("localhost", "server.listen(PORT, 'localhost'); await once(server, 'listening'); say(server.address().port);", ["PORT"]),
    ("port, host, backlog and callback",
     "await new Promise((then) => server.listen(PORT, '127.0.0.1', 50, then)); say(server.address());",
     ['{"address":"127.0.0.1","family":"IPv4","port":PORT}']),
    ("port and backlog", "server.listen(PORT, 50); await once(server, 'listening'); say(server.address().port);", ["PORT"]),
    ("options", "await new Promise((then) => server.listen({ port: PORT, host: '0.0.0.0', backlog: 5 }, then));"
     "say(server.address());", ['{"address":"0.0.0.0","family":"IPv4","port":PORT}']),
    ("options with exclusive", "server.listen({ port: PORT, host: '127.0.0.1', exclusive: true });"
     "await once(server, 'listening'); say(server.address().address);", ['"127.0.0.1"']),
    ("no arguments", "server.listen(); await once(server, 'listening'); say(server.address().port > 1023);", ["true"]),
    ("port 0", "server.listen(0, '127.0.0.1'); await once(server, 'listening'); say(server.address().port > 1023);", ["true"]),
    ("null", "server.listen(null); await once(server, 'listening'); say(server.address().port > 1023);", ["true"]),
    ("callback alone", "await new Promise((then) => server.listen(then)); say(server.address().port > 1023);", ["true"]),
    ("port undefined", "server.listen({ port: undefined }); await once(server, 'listening'); say(server.address().port > 1023);",
     ["true"]),
    ("path", "server.listen(PATH); await once(server, 'listening'); say(server.address() === PATH);", ["true"]),
    ("options with path", "await new Promise((then) => server.listen({ path: PATH }, then)); say(server.address() === PATH);",
     ["true"]),
    ("a handle of another server", "const owner = net.createServer().listen(PORT, '127.0.0.1'); await once(owner, 'listening');"
     "server.listen(owner); await once(server, 'listening'); say(server.address());",
     ['{"address":"127.0.0.1","family":"IPv4","port":PORT}']),
    ("it returns the server", "say(server.listen(PORT) === server);", ["true"]),
    ("listening", "say(server.listening); server.listen(PORT); await once(server, 'listening'); say(server.listening);"
     "await closed(server); say(server.listening);", ["false", "true", "false"]),
    ("the event comes after the call", "server.on('listening', () => say('event')); server.listen(PORT, () => say('callback'));"
     "say('returned'); await once(server, 'listening');", ['"returned"', '"event"', '"callback"']),
    ("address before and after", "say(server.address()); server.listen(PORT); await once(server, 'listening');"
     "await closed(server); say(server.address());", ["null", "null"]),
    ("close and its events", "server.on('close', () => say('close')); server.listen(PORT); await once(server, 'listening');"
     "say(await closed(server)); say(await closed(server));", ['"close"', '"closed"', '"close"', '"ERR_SERVER_NOT_RUNNING"']),
    ("close before it listens", "server.on('listening', () => say('listening')); server.listen(PORT); say(await closed(server));",
     ['"closed"']),
    ("close, then listen", "server.listen(PORT); await once(server, 'listening'); await closed(server);"
     "server.listen(PORT, '127.0.0.1'); await once(server, 'listening'); say(server.address());",
     ['{"address":"127.0.0.1","family":"IPv4","port":PORT}']),
    ("asyncDispose", "server.listen(PORT); await once(server, 'listening'); await server[Symbol.asyncDispose]();"
     "say(server.listening);", ["false"]),
    ("closeAllConnections", "server.listen(PORT); await once(server, 'listening'); server.closeAllConnections();"
     "server.closeIdleConnections(); say(server.listening);", ["true"]),
    ("listening twice", "server.listen(PORT); await once(server, 'listening'); say(code(() => server.listen(PORT)));",
     ['"ERR_SERVER_ALREADY_LISTEN"']),
    ("listening twice at once", "server.listen(PORT); say(code(() => server.listen(PORT)));", ['"ERR_SERVER_ALREADY_LISTEN"']),
    ("ports that are none", "for (const port of [65536, -1, 1.5, '', ' ', NaN, '65536']) say(code(() => server.listen(port)));",
     ['"ERR_SOCKET_BAD_PORT"'] * 7),
    ("a failed call is not the first", "code(() => server.listen(65536)); server.listen(PORT); await once(server, 'listening');"
     "say(server.address().port);", ["PORT"]),
    ("options that are none", "say(code(() => server.listen({}))); say(code(() => server.listen({ path: 5 })));"
     "say(code(() => server.listen({ port: true })));", ['"ERR_INVALID_ARG_VALUE"'] * 3),
    ("a signal that is none", "say(code(() => server.listen({ port: PORT, signal: 'INT' })));", ['"ERR_INVALID_ARG_TYPE"']),
    ("signal", "const stop = new AbortController(); server.listen({ port: PORT, signal: stop.signal });"
     "await once(server, 'listening'); stop.abort(); await once(server, 'close'); say(server.listening);", ["false"]),
    ("aborted signal", "server.listen({ port: PORT, signal: AbortSignal.abort() }); await once(server, 'close');"
     "say(server.listening);", ["false"]),
    ("unref", "server.listen(PORT); await once(server, 'listening'); say(server.unref() === server); say(server.ref() === server);",
     ["true", "true"]),
    ("unref before it listens", "server.unref(); server.listen(PORT); await once(server, 'listening'); server.ref();"
     "say(server.listening);", ["true"]),
    ("getConnections", "server.listen(PORT); await once(server, 'listening');"
     "server.getConnections((error, count) => say(error, count)); await new Promise(setImmediate);", ["null 0"]),
    ("two servers on the addresses of localhost", "server.listen(PORT, '127.0.0.1'); await once(server, 'listening');"
     "other.listen(PORT, '::1'); await once(other, 'listening'); say(other.address()); say(await closed(other));"
     "say(server.listening);", ['{"address":"::1","family":"IPv6","port":PORT}', '"closed"', "true"]),
    ("a subclass", "class Own extends http.Server {} const own = new Own(); own.listen(PORT); await once(own, 'listening');"
     "say(own.address().port);", ["PORT"]),
    ("a process that waits for nothing else ends", "server.listen(PORT); await once(server, 'listening');"
     "process.on('exit', () => say('exit')); await closed(server); await new Promise(() => {});", ['"exit"']),
]

# What only the loader does: name, the app, what it says, and what a request is answered.
SERVED = [
    ("passenger", "server.listen('passenger'); await once(server, 'listening'); say(server.address());",
     ['"passenger"'], b"first"),
    ("/passenger", "server.listen('/passenger'); await once(server, 'listening'); say(server.address());",
     ['"/passenger"'], b"first"),
    ("options with passenger", "server.listen({ path: 'passenger' }); await once(server, 'listening'); say(server.address());",
     ['"passenger"'], b"first"),
    ("the first of two gets the requests", "server.listen(PORT); await once(server, 'listening');"
     "other.listen(PORT); await once(other, 'listening'); say(other.listening);", ["true"], b"first"),
    ("the second takes over when the first closes", "server.listen(PORT); await once(server, 'listening');"
     "other.listen(PORT); await once(other, 'listening'); say(await closed(server));", ['"closed"'], b"other"),
    ("no port is opened", "server.listen(PORT, '127.0.0.1'); await once(server, 'listening');"
     "const [error] = await once(net.connect(PORT, '127.0.0.1'), 'error'); say(error.code);", ['"ECONNREFUSED"'], b"first"),
    ("another port is really opened", "server.listen(3000); await once(server, 'listening');"
     "other.listen(PORT, '127.0.0.1'); await once(other, 'listening');"
     "const answer = await fetch('http://127.0.0.1:PORT/'); say(await answer.text()); other.close();", ['"other"'], b"first"),
    ("a second port 0 is another port", "server.listen(0); await once(server, 'listening');"
     "other.listen(0, '127.0.0.1'); await once(other, 'listening');"
     "const answer = await fetch(`http://127.0.0.1:${other.address().port}/`); say(await answer.text()); other.close();",
     ['"other"'], b"first"),
    ("a TCP server is untouched", "const tcp = net.createServer((peer) => peer.end('tcp')); tcp.listen(PORT, '127.0.0.1');"
     "await once(tcp, 'listening'); say(String((await once(net.connect(PORT, '127.0.0.1'), 'data'))[0]));"
     "server.listen(3000); await once(server, 'listening'); tcp.close();", ['"tcp"'], b"first"),
    ("the app names the one that is served", "PhusionPassenger.configure({ autoInstall: false });"
     "other.listen(PORT, '127.0.0.1'); await once(other, 'listening'); server.listen('passenger');"
     "await once(server, 'listening'); say((await fetch('http://127.0.0.1:PORT/')).status); other.close();", ["200"], b"first"),
    ("the one that is named takes precedence", "other.listen(PORT); await once(other, 'listening');"
     "server.listen('passenger'); await once(server, 'listening'); say(other.listening);", ["true"], b"first"),
    ("a server that only tries a port", "other.listen(PORT); await once(other, 'listening'); await closed(other);"
     "server.listen(3000); await once(server, 'listening'); say(server.address().port);", ["3000"], b"first"),
    ("keepAliveTimeout set afterwards", "server.listen(PORT); await once(server, 'listening');"
     "server.keepAliveTimeout = 1; say(server.keepAliveTimeout);", ["0"], b"first"),
    ("https", "const own = require('https').createServer({}, (request, response) => response.end('https'));"
     "own.listen(PORT); await once(own, 'listening'); say(own.address().port);", ["PORT"], b"https"),
    ("http2 without TLS", "const own = require('http2').createServer((request, response) => response.end('http2'));"
     "own.listen(PORT); await once(own, 'listening'); say(own.address().port);", ["PORT"], b"http2"),
    ("http2 with TLS", "const own = require('http2').createSecureServer({}, (request, response) => response.end('http2'));"
     "own.listen(PORT); await once(own, 'listening'); say(own.address().port);", ["PORT"], b"http2"),
    ("http2 by streams beside http", "const own = require('http2').createServer(); own.on('stream', () => {});"
     "own.listen(PORT, '127.0.0.1'); await once(own, 'listening'); own.close(); server.listen(3000);"
     "await once(server, 'listening'); say(server.address().port);", ["3000"], b"first"),
]


def free_port():
    """An unused port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(path, uri="/"):
    """The body that a request gets over the app's socket."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(path)
        peer.sendall(f"GET {uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: peer.recv(65536), b""))
    return re.sub(rb"^5\r\n(.....)\r\n0\r\n\r\n$", rb"\1", data.partition(b"\r\n\r\n")[2])


@unittest.skipIf(shutil.which("node") is None, "node is not installed")
class NodeListen(unittest.TestCase):
    """Each case is an app that reports what it sees."""

    def source(self, body):
        self.port = str(free_port())
        return PRELUDE % body.replace("PORT", self.port)

    def reported(self, log):
        lines = [line[4:] for line in log.splitlines() if line.startswith("say ")]
        self.assertNotIn("failed ", log)
        return [line.replace(self.port, "PORT") for line in lines]

    def over(self, log):
        return "done" in log or 'say "exit"' in log

    def start(self, body):
        return contextlib.closing(Loader(COMMAND, "app.js", self.source(body)))

    def test_plain_node_does_what_the_table_says(self):
        for name, body, expected in DOCUMENTED:
            with self.subTest(name), tempfile.TemporaryDirectory(prefix="fp-node.") as directory:
                Path(directory, "app.js").write_text(self.source(body).replace("console.log('done')", "process.exit()"))
                run = subprocess.run(
                    ["node", "app.js"], cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
                )
                self.assertEqual(self.reported(run.stdout + run.stderr), expected)

    def test_an_app_sees_what_the_table_says(self):
        for name, body, expected in DOCUMENTED:
            with self.subTest(name), self.start(body) as loader:
                loader.until(lambda loader=loader: self.over(loader.log()) or loader.process.poll() is not None)
                self.assertEqual(self.reported(loader.log()), expected)

    def test_which_server_gets_the_requests(self):
        for name, body, expected, body_of_answer in SERVED:
            with self.subTest(name), self.start(body) as loader:
                self.assertEqual(loader.report, "ready\n", loader.log())
                loader.until(lambda loader=loader: self.over(loader.log()))
                self.assertEqual(self.reported(loader.log()), expected)
                self.assertEqual(answer(loader.path), body_of_answer)
                self.assertEqual(loader.wait(), 0, loader.log())
