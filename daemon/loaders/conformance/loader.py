"""A loader under test: started as the daemon starts it, addressed in the session protocol's bytes."""

import os
import select
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

LOADERS = Path(__file__).resolve().parent.parent
PATIENCE = 20

HEAD, BODY, INTERIM, HIJACKED, ERROR, READY = 1, 2, 3, 4, 5, 6
END, RAW = 1, 2


class Loader:
    """One app process. `source` is the startup file's text; None leaves the file out. `files` are further ones."""

    def __init__(self, command, startup_file, source, env=None, files=None):
        self.connections = []
        self.dir = tempfile.TemporaryDirectory(prefix="fp-loader.")
        root = Path(self.dir.name)
        if source is not None:
            (root / startup_file).write_text(source)
        for name, text in (files or {}).items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        self.path = str(root / "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(8)
        owner_read, self.owner = os.pipe()
        self.report_read, report_write = os.pipe()
        self.stderr = open(root / "stderr", "w+b")  # noqa: SIM115  closed with the loader
        environ = dict(os.environ, IN_PASSENGER="1", FLYING_PASSENGER_GROUP="conformance (test)", **(env or {}))
        environ["FLYING_PASSENGER_STARTUP_FILE"] = str(root / startup_file)
        inherited = (owner_read, self.first_socket(listener).fileno(), report_write)

        def arrange():
            copies = [os.dup2(fd, 100 + at, inheritable=False) for at, fd in enumerate(inherited)]
            for at, target in enumerate((0, 3, 4)):
                os.dup2(copies[at], target)

        self.process = subprocess.Popen(
            command, cwd=root, env=environ, stdout=self.stderr, stderr=self.stderr, close_fds=False,
            preexec_fn=arrange,  # noqa: PLW1509  no thread runs yet
        )
        os.close(owner_read)
        os.close(report_write)
        listener.close()
        self.native = None
        self.report = self.after_loading(self._read_report())

    def first_socket(self, listener):
        """What it finds on descriptor 3."""
        return listener

    def _read_report(self):
        text = b""
        while select.select([self.report_read], [], [], PATIENCE)[0]:
            data = os.read(self.report_read, 65536)
            if not data:
                return self.without_native(text.decode())
            text += data
        raise AssertionError(f"no report within {PATIENCE} s; stderr: {self.log()}")

    def without_native(self, report):
        """The report without the line on native support, which `native` keeps: `yes`, or `no` and the reason."""
        lines = report.splitlines(keepends=True)
        for at, line in enumerate(lines):
            if line.startswith("error "):
                break
            if line.startswith("native "):
                self.native = line.split(maxsplit=1)[1].rstrip("\n")
                del lines[at]
                break
        return "".join(lines)

    def after_loading(self, report):
        """The report of a program begins with the word that its app is being loaded."""
        assert report.startswith("loading\n"), report
        return report[len("loading\n") :]

    def log(self):
        """What the process wrote to stdout and stderr."""
        return Path(self.dir.name, "stderr").read_text(errors="replace")

    def until(self, condition):
        """Waits for a condition."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.log()
            time.sleep(0.005)

    def connect(self):
        """A connection that was greeted."""
        connection = Connection(self.path)
        self.connections.append(connection)
        return connection

    def end(self):
        """Ends the owner pipe."""
        if self.owner is not None:
            os.close(self.owner)
            self.owner = None

    def wait(self):
        """The exit status, once the owner pipe has ended and the connections are closed, as the daemon does it."""
        self.end()
        for connection in self.connections:
            connection.socket.close()
        return self.process.wait(PATIENCE)

    def close(self):
        """Ends everything, in any state."""
        self.end()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.report_read)
        self.stderr.close()
        self.dir.cleanup()


class Connection:
    """A connection to a loader."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.buffer = b""
        kind, flags, payload = self.frame()
        assert (kind, flags, payload) == (READY, 0, b""), "the loader did not greet"

    def send(self, method="GET", path="/", body=None, chunks=None, out_of_band=False, **variables):
        """Sends one request, or the order to work out of band; `body` is sized, `chunks` is a list."""
        env = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SCRIPT_NAME": "",
            "REQUEST_URI": path,
            "SERVER_NAME": "example.org",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        kind, length, data = 3 if out_of_band else 0, 0, b""
        if body is not None:
            kind, length, data = 1, len(body), body
            env["CONTENT_LENGTH"] = str(len(body))
        if chunks is not None:
            kind, data = 2, b"".join(struct.pack("<I", len(c)) + c for c in [*chunks, b""])
        env.update(variables)
        block = "\0".join(part for pair in env.items() for part in pair).encode("latin-1")
        self.socket.sendall(struct.pack("<IB3xQ", len(block), kind, length) + block + data)

    def frame(self):
        """The next frame: type, flags, payload."""
        length, kind, flags = struct.unpack("<IBB2x", self._take(8))
        return kind, flags, self._take(length)

    def response(self):
        """Frames until END: status line, list of headers, body, and the text of an ERROR frame or None."""
        status, headers, body = None, [], b""
        while True:
            kind, flags, payload = self.frame()
            if kind == ERROR:
                return status, headers, body, payload.decode()
            if kind == HEAD:
                status, headers = parse_head(payload)
            elif kind == BODY:
                body += payload
            if flags & END:
                return status, headers, body, None

    def ask(self, *arguments, **variables):
        """Sends a request and reads its response."""
        self.send(*arguments, **variables)
        return self.response()

    def rest(self):
        """Everything until the end of the connection."""
        data, self.buffer = self.buffer, b""
        while True:
            more = self.socket.recv(65536)
            if not more:
                return data
            data += more

    def _take(self, length):
        while len(self.buffer) < length:
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError("the loader closed the connection")
            self.buffer += data
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data


def parse_head(payload):
    """Status and headers of a HEAD frame."""
    parts = payload.decode("latin-1").split("\0")
    return parts[0], list(zip(parts[1::2], parts[2::2]))

