"""The native support of the Python loader beside the Python functions: the same blocks have to give the same results."""

import os
import subprocess
import unittest

from loader import LOADERS
from native import expected

COMPARE = r'''
import gc, random, socket, sys, tracemalloc
sys.path.insert(0, sys.argv[1])
from flying_passenger import native, native_wsgi, environment, handler
from flying_passenger.asgi import native as asgi_native, scope

module = native._load(sys.argv[2])
rng = random.Random(int(sys.argv[3]))
NAMES = [b"REQUEST_URI", b"PATH_INFO", b"SCRIPT_NAME", b"QUERY_STRING", b"REQUEST_METHOD", b"SERVER_NAME", b"SERVER_PORT",
         b"SERVER_PROTOCOL", b"REMOTE_ADDR", b"REMOTE_PORT", b"HTTPS", b"CONTENT_TYPE", b"CONTENT_LENGTH", b"HTTP_HOST",
         b"HTTP_COOKIE", b"HTTP_AUTHORIZATION", b"HTTP_X_ONE", b"HTTP_", b"HTTP_UPGRADE", b"wsgi.version", b"wsgi.input",
         b"passenger.hijack", b"", b"A", b"HTTP_caf\xe9", b"HTTP_X_" + b"LONG" * 60]
VALUES = [b"", b"/", b"/a/b", b"/%41%zz%", b"/sc%6fpe?a=b%20c?d", b"/caf\xc3\xa9", b"/\xff%ff%c3%a9", b"GET", b"HEAD", b"on", b"1",
          b"true", b"yes", b"off", b"80", b"8080", b"123456", b"1a", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/3", b"websocket",
          b"127.0.0.1", b"caf\xe9", b"\r\n", b"x" * 127, b"x" * 128, b"x" * 129, b"x" * 5000]


def block():
    """Variables as the daemon sends them, or damaged ones."""
    kind = rng.random()
    names = NAMES[: rng.choice((5, 13, 16))] if kind < 0.6 else [rng.choice(NAMES) for _ in range(rng.randrange(12))]
    if kind > 0.97:
        names = [b"HTTP_N%d" % number for number in range(rng.randrange(90, 130))]
    parts = [part for name in names for part in (name, rng.choice(VALUES))]
    text = b"\0".join(parts)
    if rng.random() < 0.1:
        text = text[: rng.randrange(len(text) + 1)]
    if rng.random() < 0.05:
        text += b"\0" * rng.randrange(4)
    return text if rng.random() < 0.97 else bytes(rng.randrange(4) * 32 for _ in range(rng.randrange(40)))


def outcome(function, *arguments):
    """A value, or the type and text of an exception."""
    try:
        value = function(*arguments)
        return list(value.items()) if isinstance(value, dict) else value
    except Exception as error:
        return type(error).__name__, str(error)


pairs = [socket.socketpair() for _ in range(3)]
wsgi = []
for (ours, _), encoded in zip(pairs[:2], (False, True)):
    environments = environment.Environments(False, encoded)
    connection_class, handler_class = native_wsgi.classes(module)
    connection = connection_class(ours)
    handler_class(connection, None, environments)
    wsgi.append((environments, connection))


class Transport:
    descriptor = pairs[2][0].fileno()
    write = staticmethod(lambda data: None)


state = {"fruit": "pear"}
session = asgi_native.session_class(module, state)(None)
session.connection_made(Transport())
OF_THE_REQUEST = dict.fromkeys(native_wsgi.OF_THE_REQUEST)
left = 0


def pure_environ(environments, text):
    environ = environments.environ(text)
    environ["REQUEST_METHOD"]
    environ.update({**OF_THE_REQUEST, "wsgi.input": handler.NO_BODY})
    return environ


def compare(count):
    global left
    last = []
    for number in range(count):
        # Blocks come again, as from one client, so that what is kept is used.
        text = rng.choice(last) if last and rng.random() < 0.4 else block()
        last = [text, *last[:30]]
        for environments, connection in wsgi:
            expected, got = outcome(pure_environ, environments, text), outcome(connection.environ, text)
            assert got == expected, (text, got, expected)
        got = session.native_scope(text)
        if got is None:
            left += 1
            continue
        request = scope.Environment(text)
        assert not request.is_websocket(), text
        expected = request.scope("http", state)
        assert list(got.items()) == list(expected.items()), (text, got, expected)
        assert got["state"] is not state and got["asgi"] is not scope.VERSIONS
        assert all(type(header) is tuple for header in got["headers"])


count = int(sys.argv[4])
compare(count)
assert left < count / 2, left
# What is kept has a bound.
gc.collect()
tracemalloc.start()
compare(1000)
before = tracemalloc.get_traced_memory()[0]
for _ in range(4):
    compare(1000)
gc.collect()
grown = tracemalloc.get_traced_memory()[0] - before
assert grown < 200_000, grown
for pair in pairs:
    for end in pair:
        end.close()
print("equal")
'''


class NativePython(unittest.TestCase):
    """The functions in C against those in Python."""

    def test_blocks_give_the_same_environments_and_scopes(self):
        found = expected("python")
        if not found.is_file():
            self.skipTest("the native support for Python is not built")
        seed = os.environ.get("SEED", "7")
        command = ["/usr/bin/python3", "-W", "error", "-c", COMPARE, str(LOADERS / "python"), str(found.parent.parent), seed, "4000"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "equal\n"), f"seed {seed}")
