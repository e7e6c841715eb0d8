"""How a Node.js app begins and ends behind the loader: modules, clusters, threads, and the signals that it handles."""

import contextlib
import shutil
import unittest
from pathlib import Path

from loader import Loader
from node_cases import COMMAND, answer

SERVER = "const server = require('http').createServer((request, response) => response.end('first'));\n"

CLUSTER = r"""
const cluster = require('cluster');
const http = require('http');
if (cluster.isPrimary) {
  for (let n = 0; n < 2; n += 1) cluster.fork();
  cluster.on('listening', (worker, address) => console.log('listening', worker.id, JSON.stringify(address)));
  cluster.on('exit', (worker) => { console.log('exit', worker.id); cluster.fork(); });
} else {
  http.createServer((request, response) => {
    if (request.url === '/end') process.exit(1);
    response.end('first');
  }).listen(3000, '127.0.0.1', () => console.log('worker', process.pid));
}
"""

# How an app says that it ends itself, and the last line of its log.
ENDINGS = [
    ("nothing", "process.on('exit', () => console.log('exit'));", "exit"),
    ("Passenger's event", "PhusionPassenger.on('exit', () => { console.log('told'); process.exit(0); });", "told"),
    ("PM2's message", "process.on('message', (text) => { console.log('message', text); process.exit(0); });", "message shutdown"),
    ("SIGTERM", "process.on('SIGTERM', (name, n) => { console.log(name, n); process.exit(0); });", "SIGTERM 15"),
    ("SIGINT", "process.on('SIGINT', (name, n) => { console.log(name, n); process.exit(0); });", "SIGINT 2"),
    ("both signals", "for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => { console.log(name); process.exit(0); });",
     "SIGTERM"),
    ("SIGTERM that closes the server",
     "process.on('SIGTERM', () => server.close((error) => setTimeout(() => { console.log('flushed', error); process.exit(0); }, 9)));",
     "flushed undefined"),
]


@unittest.skipIf(shutil.which("node") is None, "node is not installed")
class NodeLife(unittest.TestCase):
    """Apps that begin and end in their own ways."""

    def start(self, source, startup_file="app.js"):
        loader = Loader(COMMAND, startup_file, source)
        self.addCleanup(loader.close)
        self.assertEqual(loader.report, "ready\n", loader.log())
        return loader

    def test_an_es_module_that_awaits_at_its_top(self):
        loader = self.start("""
            import http from 'node:http';
            import { fileURLToPath } from 'node:url';
            const answer = await new Promise((resolve) => setImmediate(resolve, 'first'));
            http.createServer((request, response) => response.end(answer)).listen(3000);
            console.log(process.argv[1] === fileURLToPath(import.meta.url));
        """, "app.mjs")
        self.assertEqual(answer(loader.path), b"first")
        self.assertEqual(loader.wait(), 0, loader.log())
        self.assertEqual(loader.log(), "true\n")

    def test_a_worker_thread_with_a_server_beside_the_app(self):
        loader = self.start(SERVER + """
            const { Worker } = require('worker_threads');
            const code = "const server = require('http').createServer((q, r) => r.end('thread'));" +
              "server.listen(0, '127.0.0.1', () => require('worker_threads').parentPort.postMessage(server.address().port));";
            new Worker(code, { eval: true }).once('message', async (port) => {
              console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());
            });
            server.listen(3000);
        """)
        loader.until(lambda: loader.log() == "thread\n")
        self.assertEqual(answer(loader.path), b"first")
        self.assertEqual(loader.wait(), 0, loader.log())

    def test_workers_of_a_cluster_serve(self):
        loader = self.start(CLUSTER)
        loader.until(lambda: loader.log().count("worker") == 2 and loader.log().count("listening") == 2)
        self.assertIn('{"addressType":4,"address":"127.0.0.1","port":3000}', loader.log())
        self.assertEqual(answer(loader.path), b"first")
        self.assertEqual(loader.wait(), 0, loader.log())
        self.assertEqual(loader.log().count("exit"), 2, "each has ended, and none took its place")

    def test_workers_hear_of_their_end_once(self):
        for handler in ("", "process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));"):
            source = CLUSTER.replace("} else {", handler + "} else { process.on('SIGTERM', () => { console.log('told');"
                                     " process.disconnect(); });", 1)
            loader = self.start(source)
            loader.until(lambda loader=loader: loader.log().count("listening") == 2)
            self.assertEqual(loader.wait(), 0, loader.log())
            self.assertEqual(loader.log().count("told"), 0 if handler else 2, loader.log())

    def test_a_cluster_replaces_a_worker_that_ended(self):
        loader = self.start(CLUSTER)
        loader.until(lambda: loader.log().count("listening") == 2)
        for ended in (1, 2):
            self.assertEqual(answer(loader.path, "/end"), b"")
            loader.until(lambda ended=ended: loader.log().count("listening") == 2 + ended)
        self.assertEqual(answer(loader.path), b"first")
        self.assertEqual(loader.wait(), 0, loader.log())

    def test_an_app_hears_of_its_end_as_it_wants_to(self):
        for name, handler, last in ENDINGS:
            with self.subTest(name), contextlib.closing(Loader(COMMAND, "app.js", SERVER + handler + "server.listen(3);")) as loader:
                self.assertEqual(loader.report, "ready\n", loader.log())
                self.assertEqual(loader.wait(), 0, loader.log())
                self.assertEqual(loader.log().splitlines()[-1:], [last])

    def test_a_startup_file_that_is_main_and_one_that_fails(self):
        loader = self.start(SERVER + "if (require.main === module) server.listen(3000);")
        self.assertEqual(answer(loader.path), b"first")
        self.assertEqual(loader.wait(), 0, loader.log())
        with contextlib.closing(Loader(COMMAND, "app.js", "throw new Error('out of cheese')")) as failed:
            self.assertTrue(failed.report.startswith("error the app failed while it was loaded: Error: out of cheese"))

    def test_a_port_in_use_is_an_error_of_that_server_alone(self):
        loader = self.start(SERVER + """
            const net = require('net').createServer().listen(0, '127.0.0.1', () => {
              server.listen(3000);
              const other = require('http').createServer();
              other.on('error', (error) => { console.log(error.code); net.close(); });
              other.listen(net.address().port, '127.0.0.1');
            });
        """)
        loader.until(lambda: loader.log() == "EADDRINUSE\n")
        self.assertEqual(answer(loader.path), b"first")
        self.assertEqual(loader.wait(), 0, loader.log())
        self.assertTrue(Path(loader.path).exists())

    def test_an_app_that_handles_its_exceptions_goes_on(self):
        handler = "process.on('uncaughtException', (error) => { console.log('handled', String(error)); listen(); });"
        listen = "const listen = () => server.listen(3000);"
        for throws in ("throw new Error('early');", "setImmediate(() => { throw 'early'; });", "Promise.reject(new Error('early'));"):
            with self.subTest(throws):
                loader = self.start(SERVER + listen + handler + throws)
                self.assertEqual(answer(loader.path), b"first")
                self.assertEqual(loader.wait(), 0, loader.log())
                self.assertRegex(loader.log(), r"^handled (Error: )?early\n$")

    def test_what_is_thrown_is_told_whatever_it_is(self):
        exits = "process.on('uncaughtException', () => process.exit(1)); throw new Error('out of cheese');"
        for source, reason in (("throw null;", "null"), ("throw Object.create(null);", "an object without a text"),
                             ("setImmediate(() => { throw 'out of cheese'; });", "out of cheese"), (exits, "Error: out of cheese")):
            with contextlib.closing(Loader(COMMAND, "app.js", source)) as failed:
                self.assertEqual(failed.report.split("\n")[0], "error the app failed while it was loaded: " + reason)
                self.assertEqual(failed.wait(), 1)

    def test_the_end_is_heard_whatever_the_app_does_with_its_input(self):
        for what in ("process.stdin.destroy();", "process.stdin.pause();", "setImmediate(() => process.stdin.destroy());",
                     "require('readline').createInterface({ input: process.stdin }).close();",
                     "server.on('listening', () => setImmediate(() => process.stdin.pause()));",
                     "server.on('listening', () => setImmediate(() => process.stdin.destroy()));"):
            with self.subTest(what):
                loader = self.start(SERVER + what + "server.listen(3000);")
                self.assertEqual(answer(loader.path), b"first")
                self.assertEqual(loader.wait(), 0, loader.log())
