"""A daemon for tests: implements the protocol on a unix socket and answers as the request's path specifies.

Only the standard library; nothing of this is fast. What it saw is in the attributes of `Daemon`.
"""

import os
import socket
import struct
import threading
import time

HELLO, REQUEST, BODY, CANCEL, GLOBALS, ROSTER, STATUS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
WELCOME, REFUSED, INTERIM, RESPONSE, RESPONSE_BODY, ABORT, GOODBYE = 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87
END = 0x01


def frame(kind, payload=b"", flags=0, length=None):
    """A frame; `length` is a false length of the payload."""
    return struct.pack("<IBBHI", len(payload) if length is None else length, kind, flags, 0, 0) + payload


def varint(number):
    """bincode's variable-length integer."""
    if number < 251:
        return bytes([number])
    for mark, code, top in ((251, "<H", 1 << 16), (252, "<I", 1 << 32), (253, "<Q", 1 << 64)):
        if number < top:
            return bytes([mark]) + struct.pack(code, number)
    raise ValueError(number)


def pairs(headers):
    """Headers as they travel."""
    out = b""
    for name, value in headers:
        raw_name, raw_value = (x.encode("latin-1") if isinstance(x, str) else x for x in (name, value))
        out += struct.pack("<HI", len(raw_name), len(raw_value)) + raw_name + raw_value
    return out


def head(status, headers=(), length=None, reason=b"", kind=RESPONSE, flags=0):
    """A response head. `length`: None for no body, a number, or "unknown"."""
    if length is None:
        body = varint(0)
    elif length == "unknown":
        body = varint(2)
    else:
        body = varint(1) + varint(length)
    payload = varint(status) + varint(len(reason)) + reason + body + varint(4711) + varint(250) + varint(1500)
    return frame(kind, payload + pairs(headers), flags)


def abort(reason, message):
    """An abort frame."""
    return frame(ABORT, varint(reason) + varint(len(message)) + message)


class Reader:
    """Reads a payload's fields."""

    def __init__(self, payload):
        self.payload, self.at = payload, 0

    def take(self, count):
        piece = self.payload[self.at : self.at + count]
        assert len(piece) == count, "payload is cut"
        self.at += count
        return piece

    def varint(self):
        mark = self.take(1)[0]
        if mark < 251:
            return mark
        code, size = {251: ("<H", 2), 252: ("<I", 4), 253: ("<Q", 8)}[mark]
        return struct.unpack(code, self.take(size))[0]

    def bytes(self):
        return self.take(self.varint())

    def bool(self):
        return self.take(1) != b"\0"

    def value(self):
        """A settings value."""
        kind = self.varint()
        if kind == 0:
            return self.bool()
        if kind == 1:
            number = self.varint()
            return (number >> 1) ^ -(number & 1)
        if kind == 2:
            return self.bytes().decode()
        if kind == 3:
            return [self.bytes().decode() for _ in range(self.varint())]
        return {self.bytes().decode(): self.bytes().decode() for _ in range(self.varint())}


class Globals:
    """What nginx says to the daemon as a whole."""

    def __init__(self, payload):
        self.configured_ms = struct.unpack("<Q", payload[:8])[0]
        r = Reader(payload[8:])
        self.settings = {r.bytes().decode(): r.value() for _ in range(r.varint())}
        assert r.at == len(r.payload), "bytes follow the globals"


class Request:
    """A decoded request head."""

    def __init__(self, payload):
        r = Reader(payload)
        self.digest = r.take(16)
        settings_len = r.varint()
        self.group, self.root = r.bytes().decode(), r.bytes().decode()
        self.kind = ("ruby", "python", "nodejs", "meteor", "generic")[r.varint()]
        self.start_command = r.bytes().decode()
        self.method, self.uri, self.base_uri = r.bytes().decode(), r.bytes(), r.bytes().decode()
        self.document_root, self.remote_addr = r.bytes().decode(), r.bytes().decode()
        self.remote_port = r.varint()
        self.remote_user, self.server_software = r.bytes().decode(), r.bytes().decode()
        self.https, self.upgrade = r.bool(), r.bool()
        self.started_ms = r.varint()
        self.length = ("none", "known", "unknown")[r.varint()]
        # Its body, and the frames it came in.
        self.body, self.frames = b"", 0
        self.body_len = r.varint() if self.length == "known" else None
        s = Reader(r.take(settings_len))
        self.settings = {s.bytes().decode(): s.value() for _ in range(s.varint())} if settings_len else {}
        assert s.at == settings_len, "bytes follow the settings"
        self.headers = []
        while r.at < len(payload):
            name_len, value_len = struct.unpack("<HI", r.take(6))
            self.headers.append((r.take(name_len).decode(), r.take(value_len).decode("latin-1")))

    def header(self, name):
        return [value for other, value in self.headers if other.lower() == name.lower()]


class Connection:
    """One connection from nginx."""

    def __init__(self, sock):
        self.sock, self.pending = sock, b""
        self.hello = self.globals = None

    def read(self, count):
        while len(self.pending) < count:
            piece = self.sock.recv(1 << 18)
            if not piece:
                raise EOFError
            self.pending += piece
        piece, self.pending = self.pending[:count], self.pending[count:]
        return piece

    def frame(self):
        length, kind, flags, reserved, stream = struct.unpack("<IBBHI", self.read(12))
        assert reserved == 0 and stream == 0
        return kind, flags, self.read(length)

    def send(self, data):
        self.sock.sendall(data)


class Daemon:
    """Listens on `path` until `close`.

    Connections count, and are `open`, when they carry a request; those that carry none are among the `roster_connections` meanwhile.
    """

    def __init__(self, path, mode=0o666):
        self.path = path
        self.requests, self.hellos, self.globals, self.connections, self.gone = [], [], [], 0, 0
        self.refuse, self.has_page = False, True
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, mode)
        self.listener.listen(64)
        self.sockets, self.open, self.roster_connections = set(), set(), set()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        # shutdown() wakes the thread in accept(), which close() alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop_connections()
        os.unlink(self.path)

    def drop_connections(self):
        for sock in list(self.sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reset_counts(self):
        self.requests, self.hellos, self.globals, self.connections, self.gone = [], [], [], 0, 0

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        connection = Connection(sock)
        try:
            self.greet(connection)
            while self.exchange(connection):
                pass
        except (EOFError, OSError):
            self.gone += 1
        finally:
            self.sockets.discard(sock)
            self.open.discard(sock)
            self.roster_connections.discard(connection)
            sock.close()

    def greet(self, connection):
        kind, _, payload = connection.frame()
        assert kind == HELLO and payload.startswith(b"FLYPSNGR"), (kind, payload)
        connection.hello, connection.roster = payload, b""
        kind, _, payload = connection.frame()
        assert kind == GLOBALS, kind
        connection.globals = Globals(payload)
        if self.refuse:
            advice = b"module 0.1.0 speaks protocol 1, flying-passenger 9.9 speaks 3, 2: upgrade the nginx module"
            connection.send(frame(REFUSED, b"\x02\x03\0\x02\0" + b"\x039.9" + struct.pack("<H", len(advice)) + advice))
            raise EOFError
        connection.send(frame(WELCOME, struct.pack("<H", 1) + b"\x051.2.3"))
        self.roster_connections.add(connection)

    def count(self, connection):
        """The first request shows what the connection is for."""
        self.roster_connections.discard(connection)
        self.open.add(connection.sock)
        self.connections += 1
        self.hellos.append(connection.hello)
        self.globals.append(connection.globals)

    def exchange(self, connection):
        kind, flags, payload = connection.frame()
        if kind == ROSTER:
            connection.roster += payload
            return True
        assert kind in (REQUEST, STATUS), kind
        if connection in self.roster_connections:
            self.count(connection)
        if kind == STATUS:
            return self.show(connection, flags, payload)
        request = Request(payload)
        if not flags & END and b"/early" not in request.uri:
            while True:
                kind, flags, payload = connection.frame()
                assert kind == BODY, kind
                request.body += payload
                request.frames += 1
                if flags & END:
                    break
        self.requests.append(request)
        return answer(connection, request)


    def show(self, connection, flags, payload):
        """The status page: what is asked for is the answer, in two frames."""
        assert (flags, len(payload)) == (0, 2), (flags, payload)
        if not self.has_page:
            connection.send(abort(2, b"frame type 0x07 is unknown"))
            return False
        part, to_head = ("page", "data")[payload[0]], payload[1] != 0
        body = (part * 20_000).encode()
        headers = [("Content-Type", "text/plain"), ("Cache-Control", "no-store"), ("Content-Length", str(len(body)))]
        if to_head:
            connection.send(head(200, headers, flags=END))
        else:
            connection.send(head(200, headers, len(body)) + frame(RESPONSE_BODY, body[:999]))
            connection.send(frame(RESPONSE_BODY, body[999:], END))
        return True


def text(body, status=200, headers=()):
    """A whole text response."""
    headers = [("Content-Type", "text/plain"), *headers]
    return head(status, headers, len(body)) + frame(RESPONSE_BODY, body, END)


def answer(connection, request):
    """Answers as the path specifies. Returns whether the connection continues."""
    path = request.uri.split(b"?")[0].rsplit(b"/", 1)[-1].decode()
    handler = globals().get("do_" + path.replace("-", "_"), do_echo)
    return handler(connection, request) is not False


def do_echo(connection, request):
    if request.method == "HEAD":
        connection.send(head(200, [("Content-Length", "5"), ("X-Method", "HEAD")], flags=END))
    else:
        connection.send(text(b"hello"))


def do_body(connection, request):
    connection.send(text(request.body))


def do_headers(connection, request):
    lines = "".join(f"{name}: {value}\n" for name, value in request.headers)
    connection.send(text(lines.encode("latin-1")))


def do_empty(connection, request):
    connection.send(head(200, flags=END))


def do_nocontent(connection, request):
    connection.send(head(204, [("Content-Length", "9")], flags=END))


def do_notmodified(connection, request):
    connection.send(head(304, [("ETag", '"x"')], flags=END))


def do_bytewise(connection, request):
    data = head(200, [("X-Slow", "yes")], 5) + frame(RESPONSE_BODY, b"he") + frame(RESPONSE_BODY, b"llo", END)
    for at in range(len(data)):
        connection.send(data[at : at + 1])
        time.sleep(0.001)


def do_frames(connection, request):
    connection.send(head(200, length="unknown"))
    for at in range(20):
        time.sleep(0.005)
        connection.send(frame(RESPONSE_BODY, b"part %02d\n" % at))
    connection.send(frame(RESPONSE_BODY, flags=END))


def do_unknown(connection, request):
    connection.send(head(200, length="unknown") + frame(RESPONSE_BODY, b"at once", END))


def do_stream(connection, request):
    connection.send(head(200, length="unknown") + frame(RESPONSE_BODY, b"first\n"))
    time.sleep(0.5)
    connection.send(frame(RESPONSE_BODY, b"second\n", END))


BIG = bytes(range(256)) * 4096 * 8


def do_big(connection, request):
    connection.send(head(200, length=len(BIG)))
    for at in range(0, len(BIG), 100_000):
        connection.send(frame(RESPONSE_BODY, BIG[at : at + 100_000]))
    connection.send(frame(RESPONSE_BODY, flags=END))


def do_bigframe(connection, request):
    connection.send(head(200, length=len(BIG)) + frame(RESPONSE_BODY, BIG, END))


def do_buffering_yes(connection, request):
    connection.send(head(200, [("X-Accel-Buffering", "yes")], len(BIG)) + frame(RESPONSE_BODY, BIG, END))


def do_buffering_no(connection, request):
    connection.send(head(200, [("X-Accel-Buffering", "no")], len(BIG)) + frame(RESPONSE_BODY, BIG, END))


def do_interim(connection, request):
    connection.send(head(103, [("Link", "</x.css>")], kind=INTERIM) + text(b"after"))


def do_goodbye(connection, request):
    """Sent at the moment at which nginx writes the request."""
    connection.send(frame(GOODBYE))
    do_echo(connection, request)


def do_goodbye_interim(connection, request):
    connection.send(frame(GOODBYE))
    do_interim(connection, request)


def do_goodbye_empty(connection, request):
    connection.send(frame(GOODBYE))
    do_empty(connection, request)


def do_truncated(connection, request):
    connection.send(head(200, length=100) + frame(RESPONSE_BODY, b"only this"))
    time.sleep(0.05)
    return False


def do_cutstream(connection, request):
    connection.send(head(200, length="unknown") + frame(RESPONSE_BODY, b"only this"))
    time.sleep(0.05)
    return False


def do_short(connection, request):
    connection.send(head(200, length=100) + frame(RESPONSE_BODY, b"only this", END))


def do_long(connection, request):
    connection.send(head(200, length=3) + frame(RESPONSE_BODY, b"only this", END))


def do_garbage(connection, request):
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def do_bodygarbage(connection, request):
    connection.send(head(200, length="unknown") + frame(RESPONSE_BODY, b"good"))
    time.sleep(0.05)
    connection.send(b"\xff" * 64)


def do_closed(connection, request):
    return False


def do_injection(connection, request):
    connection.send(head(200, [("X", "a\r\nSet-Cookie: b")], flags=END))


def do_hugehead(connection, request):
    connection.send(head(200, [("X", "x" * 60_000)], flags=END))


def do_bigheaders(connection, request):
    connection.send(head(200, [(f"X-{n}", "x" * 100) for n in range(90)], 2) + frame(RESPONSE_BODY, b"ok", END))


def do_abort(connection, request):
    connection.send(abort(0, b"process 4711 ended before it answered"))
    return False


def do_abortlate(connection, request):
    connection.send(head(200, length="unknown") + frame(RESPONSE_BODY, b"begun"))
    time.sleep(0.05)
    connection.send(abort(1, b"its chunk has no end"))
    return False


def do_trailing(connection, request):
    connection.send(text(b"hello") + b"xyz")


def do_redirected(connection, request):
    connection.send(head(200, [("X-Accel-Redirect", "/internal/file.txt")], 4) + frame(RESPONSE_BODY, b"lost", END))


def do_cookies(connection, request):
    connection.send(head(200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Accel-Expires", "5"),
                               ("Status", "200 OK"), ("Server", "ours"), ("X-Powered-By", "us"),
                               ("Transfer-Encoding", "chunked"), ("Connection", "close")], flags=END))


def do_teapot(connection, request):
    connection.send(head(418, reason=b"I am a teapot", length=3) + frame(RESPONSE_BODY, b"tea", END))


def do_fail(connection, request):
    connection.send(text(b"the app's own page", status=503))


def do_early(connection, request):
    connection.send(text(b"too large", status=413))
    # As the router does: the rest of the body is read, so that nginx can keep the connection, or nginx closes it.
    while not connection.frame()[1] & END:
        pass


def do_slow(connection, request):
    time.sleep(1)
    connection.send(text(b"slow"))


def do_websocket(connection, request):
    if not request.upgrade:
        connection.send(head(101, flags=END))
        return False
    connection.send(head(101, [("Upgrade", "echo"), ("Sec-WebSocket-Accept", "x")], flags=END) + b"welcome\n")
    while True:
        data = connection.pending or connection.sock.recv(4096)
        connection.pending = b""
        if not data:
            return False
        connection.send(data.upper())


if __name__ == "__main__":
    import sys

    Daemon(sys.argv[1])
    threading.Event().wait()
