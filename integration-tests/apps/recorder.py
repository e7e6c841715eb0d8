"""The recorder: an HTTP/1.1 server that records each request as it arrives, byte for byte.

It listens on 127.0.0.1:$PORT and appends one JSON object per request to the file named by its argument: request line,
header lines, and the body, as Latin-1 text, and whether the body was complete. It accepts every syntax that it can, as a
lenient application does.
"""

import json
import os
import socket
import sys
import threading

LOCK = threading.Lock()


class Reader:
    """The bytes of a connection."""

    def __init__(self, connection):
        self.connection = connection
        self.pending = b""

    def until(self, end):
        while end not in self.pending:
            part = self.connection.recv(65536)
            if not part:
                return None
            self.pending += part
        found, self.pending = self.pending.split(end, 1)
        return found

    def exactly(self, length):
        while len(self.pending) < length:
            part = self.connection.recv(65536)
            if not part:
                break
            self.pending += part
        found, self.pending = self.pending[:length], self.pending[length:]
        return found


def chunked(reader):
    """Returns the body, and whether its last chunk came."""
    body = b""
    while True:
        line = reader.until(b"\r\n")
        if line is None:
            return body, False
        length = int(line.split(b";")[0], 16)
        if length == 0:
            while line := reader.until(b"\r\n"):
                pass
            return body, line is not None
        part = reader.exactly(length)
        body += part
        if len(part) < length or reader.until(b"\r\n") is None:
            return body, False


def read_body(reader, lines):
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return chunked(reader)
    length = int(headers.get(b"content-length", b"0"))
    body = reader.exactly(length)
    return body, len(body) == length


def serve(connection, record):
    reader = Reader(connection)
    while (head := reader.until(b"\r\n\r\n")) is not None:
        first, *lines = head.split(b"\r\n")
        body, complete = read_body(reader, lines)
        seen = {
            "line": first.decode("latin-1"),
            "headers": [line.decode("latin-1") for line in lines],
            "body": body.decode("latin-1"),
            "complete": complete,
        }
        if not first.split(b" ")[1].startswith(b"/ready"):
            with LOCK, open(record, "a", encoding="utf-8") as out:
                out.write(json.dumps(seen) + "\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen")
    connection.close()


def main():
    server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=128)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection, sys.argv[1]), daemon=True).start()


main()
