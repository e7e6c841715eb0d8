"""What applications on shared hosting and libraries for concurrency do to the Python loader, and what fails at odd moments."""

import textwrap
from pathlib import Path

# A library that replaces what the loader uses, as eventlet and gevent do.
NO_POLL = "import select\ndel select.poll, select.POLLIN\n"
LATE_CLOSE = "import os\nlate = []\nos.close = late.append\n"


class WsgiEdges:
    """WSGI."""

    def served(self, body, before=""):
        """A loader with an app whose function has these lines."""
        loader = self.start(before + "\ndef application(env, start):\n" + textwrap.indent(body, "    "))
        self.assertEqual(loader.report, self.ready, loader.log())
        return loader

    def test_an_interpreter_may_be_replaced_by_the_startup_file(self):
        for call in ("os.execl(other, other, *sys.argv)", "os.execve(other, [other, *sys.argv], dict(os.environ, TOLD='1'))",
                     "os.execv(other, [other] + sys.argv)", "os.execlp(other, other, *sys.argv)"):
            loader = self.served("start('200 OK', [])\nreturn [sys.executable.encode(), repr(hidden).encode()]", f"""
import os, sys
other = os.path.abspath("python-of-the-app")
if sys.executable != other:
    os.symlink("/usr/bin/python3", other)
    assert not [name for name in os.environ if "FLYING" in name]
    {call}
hidden = [name for name in os.environ if "FLYING" in name]
""")
            connection = loader.connect()
            self.assertEqual(connection.ask()[2].decode(), str(Path(loader.dir.name, "python-of-the-app")) + "[]")
            self.finish(loader)

    def test_an_interpreter_that_is_missing_is_told(self):
        loader = self.start("import os, sys\nos.execl('/no/such/python', '/no/such/python', *sys.argv)")
        self.assertRegex(loader.report, r"^error the app failed while it was loaded: FileNotFoundError")
        self.assertEqual(loader.wait(), 1)

    def test_a_startup_file_may_have_any_name(self):
        for name in ("shop.wsgi", "shop"):
            loader = self.process(self.command, name, self.source, self.env)
            self.addCleanup(loader.close)
            self.assertEqual(loader.report, self.ready, loader.log())
            self.assertEqual(loader.connect().ask(path="/ignore")[2], b"ignored")
            self.finish(loader)

    def test_an_application_may_be_called_app(self):
        source = self.source + "\napp = application\ndel application\n"
        loader = self.process(self.command, self.startup_file, source, self.env)
        self.addCleanup(loader.close)
        self.assertEqual(loader.report, self.ready, loader.log())
        self.assertEqual(loader.connect().ask(path="/ignore")[2], b"ignored")
        self.finish(loader)

    def test_a_file_is_loaded_once_under_its_own_name(self):
        importing = self.source + """
import importlib, sys
assert importlib.import_module(__name__) is sys.modules["passenger_wsgi"] is sys.modules[__name__]
with open("loaded", "a") as file:
    file.write(__name__ + "\\n")
import other
"""
        for name, files, module in (
            ("app.py", {}, "app"),
            ("shop/wsgi.py", {"shop/__init__.py": ""}, "shop.wsgi"),
            ("shop/wsgi.py", {"shop/models.py": ""}, "passenger_wsgi"),
            ("app.py", {"app/__init__.py": ""}, "passenger_wsgi"),
            ("my-app.py", {}, "passenger_wsgi"),
            ("os.py", {}, "passenger_wsgi"),
        ):
            all_files = {**files, "other.py": f"import {module}", name: importing}
            loader = self.process(self.command, name, None, self.env, all_files)
            self.addCleanup(loader.close)
            self.assertEqual(loader.report, self.ready, loader.log())
            self.assertEqual((Path(loader.dir.name) / "loaded").read_text(), module + "\n", name)
            self.finish(loader)

    def test_a_library_may_remove_or_replace_system_calls(self):
        for before in (NO_POLL, LATE_CLOSE):
            source = before + "\ndef application(env, start):\n    start('200 OK', [])\n    return [b'x']\n"
            loader = self.process(self.command, self.startup_file, source, self.env)
            self.addCleanup(loader.close)
            self.assertEqual(loader.report, self.ready, loader.log())
            self.assertEqual(loader.connect().ask()[2], b"x")
            self.finish(loader)
            if self.native and before == NO_POLL:
                # The native support would wait by itself, where the library lets other requests run.
                self.assertIn("replaced functions of the standard library", loader.native)

    def test_a_closed_stderr_ends_no_process(self):
        for how in ("sys.stderr.close()", "sys.stderr = None"):
            loader = self.served("if env['PATH_INFO'] == '/': raise RuntimeError('out of cheese')\n"
                                 "start('200 OK', [])\nreturn [b'x']", "import sys\n" + how)
            connection = loader.connect()
            self.assertIn("out of cheese", connection.ask()[3])
            self.assertEqual(connection.ask(path="/on")[2], b"x")
            loader.wait()
            self.assertIn("out of cheese", loader.log())

    def test_what_is_no_exception_fails_the_request_alone(self):
        # gevent.Timeout, asyncio.CancelledError
        loader = self.served("if env['PATH_INFO'] == '/': raise BaseException('out of cheese')\nstart('200 OK', [])\nreturn [b'x']")
        connection = loader.connect()
        self.assertIn("out of cheese", connection.ask()[3])
        self.assertEqual(connection.ask(path="/on")[2], b"x")
        self.finish(loader, log="out of cheese")

    def test_a_body_that_is_not_sent_is_not_asked_for(self):
        loader = self.served("start(env['PATH_INFO'][1:], [])\nreturn body()", """
def body():
    yield b''
    while True:
        yield b'x'
""")
        connection = loader.connect()
        for method, status in (("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")):
            self.assertEqual(connection.ask(method, "/" + status), (status, [], b"", None))
        self.finish(loader)

    def test_an_app_may_close_its_standard_input(self):
        for how in ("sys.stdin.close()", "os.dup2(os.open(os.devnull, os.O_RDONLY), 0)"):
            loader = self.served("start('200 OK', [])\nreturn [b'x']", "import os, sys\n" + how)
            self.assertEqual(loader.connect().ask()[2], b"x")
            self.finish(loader)

    def test_hijacking_has_to_be_asked_for(self):
        loader = self.served("got = env['passenger.hijack']()\nstart('200 OK', [])\nreturn [repr(got).encode()]")
        self.assertEqual(loader.connect().ask()[2:], (b"None", None))
        self.finish(loader)

    def test_a_length_that_is_none_is_refused(self):
        loader = self.served("start('200 OK', [('Content-Length', env['PATH_INFO'][1:])])\nreturn [b'abc']")
        connection = loader.connect()
        for length in ("-1", "+3", "3_0", "x"):
            self.assertIn("is not a number", connection.ask(path="/" + length)[3])
        self.assertEqual(connection.ask(path="/3")[2:], (b"abc", None))
        self.finish(loader, log="is not a number")


class AsgiEdges:
    """ASGI."""

    def test_a_cancelled_app_is_a_failed_one(self):
        for lines in (["raise asyncio.CancelledError"], ["asyncio.current_task().cancel()", "await asyncio.sleep(0)"]):
            loader = self.served("if scope['path'] == '/on': return await send(START) or await body(b'on')", *lines)
            connection = loader.connect()
            self.assertIn("CancelledError", connection.ask()[3])
            self.assertEqual(connection.ask(path="/on")[2], b"on")
            self.finish(loader, log="CancelledError")

    def test_the_transfer_encoding_is_the_servers(self):
        loader = self.served("await send({**START, 'headers': [(b'Transfer-Encoding', b'chunked')]})", "await body(b'plain')")
        self.assertEqual(loader.connect().ask()[1:3], ([("content-length", "5")], b"plain"))
        self.finish(loader)

    def test_tasks_of_the_app_are_cancelled_at_the_end(self):
        loader = self.start("""
import asyncio
async def task():
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    application.task = asyncio.create_task(task())
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"x"})
""")
        self.assertEqual(loader.connect().ask()[2], b"x")
        self.assertEqual(loader.wait(), 0)
        self.assertEqual(loader.log(), "cancelled\n")

    def test_an_app_that_ends_itself_in_its_startup_is_told(self):
        loader = self.start("import sys\nasync def application(scope, receive, send):\n    sys.exit(7)\n")
        self.assertRegex(loader.report, r"^error the app ended itself while it was loaded \(exit status 7\)")
        self.assertEqual(loader.wait(), 1)
        loader = self.start("import sys\nsys.exit('the variable X is missing')\n")
        self.assertRegex(loader.report, r"^error the app ended itself while it was loaded \(the variable X is missing\)")
        self.assertEqual(loader.wait(), 1)

    def test_a_failure_at_the_end_is_told_with_its_traceback(self):
        loader = self.start("""
async def application(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise RuntimeError("out of cheese")
""")
        self.assertEqual(loader.report, self.ready, loader.log())
        loader.wait()
        self.assertIn("Traceback", loader.log())
        self.assertNotIn("takes no part", loader.log())
