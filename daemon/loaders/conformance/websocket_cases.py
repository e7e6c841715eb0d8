"""WebSockets of ASGI apps, byte by byte: how the loader handles correct and hostile clients."""

import socket
import struct
import threading
import unittest

from loader import HIJACKED, LOADERS, Loader

COMMAND = ["/usr/bin/python3", "-W", "error", str(LOADERS / "python/wsgi-loader.py")]
UPGRADE = {
    "HTTP_CONNECTION": "upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    # The example of RFC 6455, section 1.3.
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

APP = r"""
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await idle(receive, send)
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        return await send({"type": "http.response.body", "body": b"plain"})
    assert (await receive()) == {"type": "websocket.connect"}
    path = scope["path"]
    if path == "/refuse":
        return await send({"type": "websocket.close"})
    if path == "/deny":
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"because")]})
        return await send({"type": "websocket.http.response.body", "body": b"not you"})
    if path == "/fail-early":
        raise RuntimeError("out of cheese")
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None, "headers": [(b"x-a", b"1")]})
    if path == "/fail":
        raise RuntimeError("out of cheese")
    if path == "/close":
        return await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
    if path == "/close-long":
        return await send({"type": "websocket.close", "code": 4001, "reason": "x" + "\u20ac" * 100})
    if path == "/slow":
        import asyncio, os
        while not os.path.exists("go"):
            await asyncio.sleep(0.001)
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            print("disconnected", event["code"], flush=True)
            return
        await send({"type": "websocket.send", **{k: v for k, v in event.items() if k != "type"}})
async def idle(receive, send):
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return
"""


def masked(opcode, data, final=True, flags=0, mask=b"\x11\x22\x33\x44"):
    """A client's frame."""
    first = (0x80 if final else 0) | flags | opcode
    length = len(data)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = struct.pack(">BBH", first, 0xFE, length)
    else:
        head = struct.pack(">BBQ", first, 0xFF, length)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


class WebSockets(unittest.TestCase):
    """One process for each case."""

    command, env = COMMAND, {}

    def setUp(self):
        self.loader = Loader(COMMAND, "passenger_wsgi.py", APP, self.env)
        self.addCleanup(self.loader.close)
        self.assertEqual(self.loader.report, "ready 0\n", self.loader.log())

    def open(self, path="/", **variables):
        connection = self.loader.connect()
        connection.send(path=path, **UPGRADE, **variables)
        self.assertEqual(connection.frame(), (HIJACKED, 0, b""))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection._take(1)
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        self.assertIn(ACCEPT, head)
        return connection, head

    def next(self, connection):
        """The server's next frame: opcode and data."""
        first, length = connection._take(2)
        self.assertEqual(first & 0x80, 0x80)
        if length == 126:
            (length,) = struct.unpack(">H", connection._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", connection._take(8))
        return first & 0x0F, connection._take(length)

    def expect_close(self, connection, code):
        opcode, data = self.next(connection)
        self.assertEqual((opcode, struct.unpack(">H", data[:2])[0]), (CLOSE, code))
        self.assertEqual(connection.rest(), b"")

    def finish(self, *logged):
        self.assertEqual(self.loader.connect().ask()[2], b"plain")
        self.assertEqual(self.loader.wait(), 0, self.loader.log())
        for words in logged:
            self.assertIn(words, self.loader.log())
        if not logged:
            self.assertEqual(self.loader.log(), "")

    def test_messages_of_every_length_come_back(self):
        connection, head = self.open()
        self.assertIn(b"x-a: 1", head)
        for length in (0, 1, 125, 126, 65535, 65536, 300_000):
            data = bytes(at * 7 % 251 for at in range(length))
            connection.socket.sendall(masked(BINARY, data))
            self.assertEqual(self.next(connection), (BINARY, data))
        connection.socket.sendall(masked(TEXT, "gr\u00fc\u00dfe".encode()))
        self.assertEqual(self.next(connection), (TEXT, "gr\u00fc\u00dfe".encode()))
        connection.socket.sendall(masked(CLOSE, struct.pack(">H", 1000)))
        self.expect_close(connection, 1000)
        self.finish("disconnected 1000")

    def test_a_message_in_parts_with_a_ping_between_and_byte_by_byte(self):
        connection, _ = self.open()
        stream = masked(TEXT, b"one ", final=False) + masked(PING, b"there?") + masked(0, b"two")
        for byte in stream:
            connection.socket.sendall(bytes((byte,)))
        self.assertEqual(self.next(connection), (PONG, b"there?"))
        self.assertEqual(self.next(connection), (TEXT, b"one two"))
        connection.socket.sendall(masked(CLOSE, b""))
        self.expect_close(connection, 1000)
        self.finish("disconnected 1005")

    def test_a_subprotocol_is_agreed_on(self):
        connection, head = self.open(HTTP_SEC_WEBSOCKET_PROTOCOL="chat, superchat")
        self.assertIn(b"sec-websocket-protocol: superchat\r\n", head)
        connection.socket.close()

    def test_the_app_closes(self):
        connection, _ = self.open("/close")
        self.assertEqual(self.next(connection), (CLOSE, struct.pack(">H", 4001) + b"enough"))
        self.assertEqual(connection.rest(), b"")
        self.finish()

    def test_the_app_refuses(self):
        for path, status, headers, body in (("/refuse", "403", [("content-length", "0")], b""),
                                            ("/deny", "401", [("x-why", "because"), ("content-length", "7")], b"not you")):
            connection = self.loader.connect()
            self.assertEqual(connection.ask(path=path, **UPGRADE), (status, headers, body, None))
            self.assertEqual(connection.ask()[2], b"plain", "the connection continues")
        self.finish()

    def test_an_app_that_fails(self):
        connection = self.loader.connect()
        self.assertIn("out of cheese", connection.ask(path="/fail-early", **UPGRADE)[3])
        connection, _ = self.open("/fail")
        self.expect_close(connection, 1011)
        self.finish("out of cheese")

    def test_what_is_no_upgrade_is_a_request(self):
        for missing in ("HTTP_UPGRADE", "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_SEC_WEBSOCKET_KEY"):
            variables = {name: value for name, value in UPGRADE.items() if name != missing}
            self.assertEqual(self.loader.connect().ask(**variables)[2], b"plain", missing)
        self.finish()

    def test_hostile_frames_end_the_connection_and_nothing_else(self):
        unmasked = b"\x81\x01x"
        for code, attack in (
            (1002, unmasked),
            (1002, masked(TEXT, b"x", flags=0x40)),
            (1002, masked(3, b"x")),
            (1002, masked(0, b"a part of nothing")),
            (1002, masked(TEXT, b"x", final=False) + masked(TEXT, b"y")),
            (1002, masked(PING, b"x" * 126)),
            (1002, masked(PING, b"x", final=False)),
            (1002, masked(CLOSE, b"x")),
            (1002, masked(CLOSE, struct.pack(">H", 1005))),
            (1007, masked(CLOSE, struct.pack(">H", 1000) + b"\xff")),
            (1007, masked(TEXT, b"\xff\xfe")),
            (1009, b"\x82\xff" + struct.pack(">Q", 1 << 62)),
            (1009, masked(BINARY, b"x", final=False) + b"\x80\xff" + struct.pack(">Q", 16 << 20)),
        ):
            connection, _ = self.open()
            connection.socket.sendall(attack)
            self.expect_close(connection, code)
        self.finish("disconnected 1002")

    def test_a_client_that_leaves_without_a_word(self):
        connection, _ = self.open()
        connection.socket.close()
        self.loader.until(lambda: "disconnected" in self.loader.log())
        self.finish("disconnected 1001")

    def test_the_end_of_the_process_is_told(self):
        connection, _ = self.open()
        self.loader.end()
        self.expect_close(connection, 1012)
        self.assertEqual(self.loader.wait(), 0, self.loader.log())
        self.assertIn("disconnected 1012", self.loader.log())

    def test_a_client_that_does_not_read_is_waited_for(self):
        connection, _ = self.open()
        data = b"x" * 1_000_000
        message = masked(BINARY, data, mask=b"\0\0\0\0")
        sender = threading.Thread(target=connection.socket.sendall, args=(message * 3,))
        sender.start()
        self.loader.until(lambda: self.loader.connect().ask()[2] == b"plain")
        for _ in range(3):
            self.assertEqual(self.next(connection), (BINARY, data))
        sender.join()
        self.finish("disconnected")

    def test_texts_of_any_length_and_alphabet_go_on(self):
        # Counted in bytes when they come, and in characters when they are taken, they end up as too many.
        connection, _ = self.open()
        sent = "\u20ac" * 20_000
        for _ in range(20):
            connection.socket.sendall(masked(TEXT, sent.encode()))
            self.assertEqual(self.next(connection), (TEXT, sent.encode()))
        connection.socket.close()
        self.finish("disconnected")

    def test_a_long_reason_ends_with_a_whole_character(self):
        connection, _ = self.open("/close-long")
        opcode, data = self.next(connection)
        self.assertEqual((opcode, data[2:].decode()), (CLOSE, "x" + "\u20ac" * 40))
        connection.socket.close()
        self.finish()

    def test_messages_that_are_empty_do_not_wait_without_bound(self):
        connection, _ = self.open("/slow")
        connection.socket.settimeout(0.5)
        sent = 0
        flood = masked(TEXT, b"") * 10_000
        with self.assertRaises(socket.timeout):
            while sent < 20_000_000:
                sent += connection.socket.send(flood)
        connection.socket.close()
        open(self.loader.dir.name + "/go", "w", encoding="ascii").close()
        self.loader.wait()

    def test_parts_of_a_message_take_no_more_than_they_hold(self):
        connection, _ = self.open()
        first = masked(TEXT, b"ab", final=False)
        connection.socket.sendall(first + masked(0, b"", final=False) * 200_000 + masked(0, b"c"))
        self.assertEqual(self.next(connection), (TEXT, b"abc"))
        connection.socket.close()
        self.finish("disconnected")
