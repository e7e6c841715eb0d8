"""How requests and responses of the Python loader may be cut into pieces, and in which order things happen. The native
support has a quick way for the usual ones; these take every other way.
"""

import struct

from loader import BODY, END, HEAD

LONG_HEADER = 40_000


def request(path, method="GET", body=b"", **variables):
    """The bytes of a request."""
    env = {"REQUEST_METHOD": method, "PATH_INFO": path, "REQUEST_URI": path, "QUERY_STRING": "", "SCRIPT_NAME": "",
           "SERVER_NAME": "example.org", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", **variables}
    block = "\0".join(part for pair in env.items() for part in pair).encode("latin-1")
    return struct.pack("<IB3xQ", len(block), 1 if body else 0, len(body)) + block + body


class Wire:
    """WSGI and ASGI: `source` is an app that answers with the method, the path and its body's length."""

    def wire(self, source=None):
        """A loader of that app, and a connection to it."""
        loader = self.start(source or self.echo)
        self.assertEqual(loader.report, self.ready, loader.log())
        return loader, loader.connect()

    def test_a_request_may_come_in_pieces(self):
        loader, connection = self.wire()
        for data in (request("/a"), request("/b", "POST", b"x" * 5)):
            for size in (1, 7, 16, 17, 30):
                for at in range(0, len(data), size):
                    connection.socket.sendall(data[at : at + size])
                self.assertRegex(connection.response()[2], rb"^(GET /a 0|POST /b 5) ")
        self.finish(loader)

    def test_requests_may_come_together(self):
        loader, connection = self.wire()
        sent = [request("/1"), request("/2", "POST", b"body"), request("/3"), request("/4", X="y" * 70_000), request("/5")]
        connection.socket.sendall(b"".join(sent))
        found = [connection.response()[2].split()[:3] for _ in sent]
        self.assertEqual(found, [[b"GET", b"/1", b"0"], [b"POST", b"/2", b"4"], [b"GET", b"/3", b"0"], [b"GET", b"/4", b"0"],
                                 [b"GET", b"/5", b"0"]])
        self.assertEqual(connection.ask(path="/6")[2].split()[1], b"/6")
        self.finish(loader)

    def test_no_request_sees_values_of_another(self):
        loader, connection = self.wire()
        for number in range(40):
            variables = {"HTTP_X_SECRET": f"secret-{number}", "HTTP_COOKIE": f"c={number}"} if number % 3 else {}
            if number % 5 == 0:
                variables["HTTP_X_OTHER"] = f"other-{number % 2}"
            seen = connection.ask(path=f"/{number % 7}", **variables)[2].decode()
            for name, value in variables.items():
                self.assertIn(value, seen, name)
            self.assertEqual(seen.count("secret-"), "HTTP_X_SECRET" in variables, seen)
            self.assertEqual(seen.count("other-"), "HTTP_X_OTHER" in variables, seen)
            self.assertEqual(seen.count("c="), "HTTP_COOKIE" in variables, seen)
        self.finish(loader)

    def test_large_heads_and_bodies_arrive_whole(self):
        loader, connection = self.wire()
        for size in (16 * 1024, 16 * 1024 + 1, 300_000, 5_000_000):
            self.assertEqual(len(connection.ask(path="/large", HTTP_X_SIZE=str(size))[2]), size)
        headers = dict(connection.ask(path="/long-header")[1])
        self.assertEqual(len(headers.get("X-Long", headers.get("x-long", ""))), LONG_HEADER)
        self.assertEqual(connection.ask(path="/on")[2].split()[1], b"/on")
        self.finish(loader)

    def test_an_app_that_exits_ends_the_process(self):
        loader, connection = self.wire()
        connection.send(path="/exit")
        self.assertEqual(loader.process.wait(20) if not hasattr(loader, "forked") else loader.forked.wait(20), 7, loader.log())


class WsgiWire(Wire):
    """WSGI."""

    echo = f"""
import sys
def application(env, start):
    path = env["PATH_INFO"]
    if path == "/exit":
        sys.exit(7)
    long = [("X-Long", "x" * {LONG_HEADER})] if path == "/long-header" else []
    start("200 OK", [("Content-Type", "text/plain")] + long)
    if path == "/large":
        return [b"x" * int(env["HTTP_X_SIZE"])]
    length = len(env["wsgi.input"].read())
    seen = [value for key, value in sorted(env.items()) if key.startswith("HTTP_")]
    return [f"{{env['REQUEST_METHOD']}} {{path}} {{length}} {{seen}}".encode("latin-1")]
"""


class AsgiWire(Wire):
    """ASGI."""

    echo = f"""
import sys
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/exit":
        sys.exit(7)
    headers = dict(scope["headers"])
    if scope["path"] == "/large":
        answer = b"x" * int(headers[b"x-size"])
    else:
        length, more = 0, True
        while more:
            event = await receive()
            length, more = length + len(event["body"]), event["more_body"]
        seen = b" ".join(value for _, value in sorted(headers.items()))
        answer = f"{{scope['method']}} {{scope['path']}} {{length}} ".encode() + seen
    long = [(b"x-long", b"x" * {LONG_HEADER})] if scope["path"] == "/long-header" else []
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")] + long}})
    await send({{"type": "http.response.body", "body": answer}})
"""

    def test_a_request_is_one_task_with_one_context(self):
        loader, connection = self.wire("""
import asyncio, contextvars
var = contextvars.ContextVar("var", default="none")
seen = set()
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    task, before = asyncio.current_task(), var.get()
    assert task is not None and task in asyncio.all_tasks() and id(task.get_coro())
    var.set(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0)
    assert asyncio.current_task() is task
    child = await asyncio.ensure_future(asyncio.sleep(0, var.get()))
    await asyncio.wait_for(asyncio.sleep(0), 10)
    text = f"{before} {var.get()} {child}"
    await send({"type": "http.response.body", "body": text.encode()})
""")
        other = loader.connect()
        for path in ("/a", "/b"):
            for each in (connection, other):
                self.assertEqual(each.ask(path=path)[2].decode(), f"none {path} {path}")
        self.finish(loader)

    def test_tasks_of_an_apps_own_factory_are_made_by_it(self):
        loader, connection = self.wire("""
import asyncio
made = []
def factory(loop, coroutine, **more):
    made.append(1)
    return asyncio.Task(coroutine, loop=loop, **more)
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        asyncio.get_running_loop().set_task_factory(factory)
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(len(made)).encode()})
""")
        self.assertEqual([connection.ask()[2] for _ in range(3)], [b"1", b"2", b"3"])
        self.finish(loader)

    def test_an_answer_before_the_body_leaves_the_connection_usable(self):
        loader, connection = self.wire("""
async def application(scope, receive, send):
    if scope["type"] != "lifespan":
        await send({"type": "http.response.start", "status": 200, "headers": [[b"x-path", scope["path"].encode()]]})
        await send({"type": "http.response.body", "body": b"early"})
""")
        data = request("/early", "POST", b"x" * 100_000)
        connection.socket.sendall(data[:300])
        self.assertEqual(connection.frame()[0], HEAD)
        self.assertEqual(connection.frame(), (BODY, END, b"early"))
        connection.socket.sendall(data[300:] + request("/next"))
        self.assertEqual(connection.response()[1][0], ("x-path", "/next"))
        self.finish(loader)
