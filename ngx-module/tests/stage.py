"""The environment of the smoke tests: an nginx with a separate configuration, its log, a client, directories of apps."""

import glob
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Optional

MODULE = os.path.abspath(sys.argv[1])
NGINX = sys.argv[2] if len(sys.argv) > 2 else "/usr/sbin/nginx"
WRAPPER = os.environ.get("SMOKE_WRAPPER", "").split()  # such as: valgrind --quiet
DIR = tempfile.mkdtemp(prefix="passenger-smoke-")
SOCKET = f"{DIR}/daemon.sock"
HAS_PROBE = b"passenger_panic_in" in pathlib.Path(MODULE).read_bytes()
os.chmod(DIR, 0o755)
os.mkdir(f"{DIR}/temp")

MAIN = f"""
load_module {MODULE};
daemon off; user root; worker_processes 1; pid {DIR}/pid; error_log {DIR}/error.log notice;
events {{ worker_connections 512; }}
"""
PATHS = "\n".join(
    f"{kind}_temp_path {DIR}/temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


PORT = free_port()


def conf(http, main=""):
    return f"{MAIN}{main}http {{ access_log off; {PATHS}\n{http} }}"


def app(name, *files):
    """An app's directory with these files; those that end with / are directories."""
    for file in (*files, "public/"):
        path = f"{DIR}/{name}/{file}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not file.endswith("/"):
            with open(path, "w", encoding="utf-8") as out:
                out.write(f"{file} of {name}\n")
    return f"{DIR}/{name}"


class Nginx:
    def __init__(self):
        self.process: Optional[subprocess.Popen[bytes]] = None

    @property
    def running(self):
        """The process, which was started."""
        assert self.process is not None
        return self.process

    def errors(self):
        """What it has written to stderr, once it has ended."""
        assert self.running.stderr is not None
        return self.running.stderr.read().decode()

    def start(self, text):
        self.write(text)
        self.process = subprocess.Popen([*WRAPPER, NGINX, "-p", DIR, "-c", f"{DIR}/nginx.conf"], stderr=subprocess.PIPE)
        eventually(lambda: listening() or self.running.poll() is not None, "nginx listens")
        assert self.running.poll() is None, self.errors()

    def write(self, text):
        with open(f"{DIR}/nginx.conf", "w", encoding="utf-8") as out:
            out.write(text)

    def test(self, text):
        """`nginx -t`: whether it is content, and what it says."""
        with open(f"{DIR}/test.conf", "w", encoding="utf-8") as out:
            out.write(text)
        # It ends without freeing what it has read, which is no leak worth a word.
        env = os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        command = [NGINX, "-p", DIR, "-c", f"{DIR}/test.conf", "-t"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        return done.returncode == 0, done.stderr

    def workers(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.running.pid and fields[0] != "Z":
                found.append(int(path.split("/")[2]))
        return found

    def reload(self, text):
        before = set(self.workers())
        self.write(text)
        self.running.send_signal(signal.SIGHUP)
        eventually(lambda: self.workers() and not before & set(self.workers()), "workers are new")

    def stop(self):
        if self.process and self.running.poll() is None:
            self.running.send_signal(signal.SIGQUIT)
            try:
                self.running.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()


def listening():
    try:
        socket.create_connection(("127.0.0.1", PORT), 0.2).close()
        return True
    except OSError:
        return False


def eventually(condition, what, patience=20):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


class Log:
    """What was written to the error log since the test began."""

    def __init__(self):
        self.start = 0

    def mark(self):
        self.start = os.path.getsize(f"{DIR}/error.log") if os.path.exists(f"{DIR}/error.log") else 0

    def text(self):
        with open(f"{DIR}/error.log", encoding="utf-8", errors="replace") as log:
            log.seek(self.start)
            return log.read()

    def has(self, words):
        eventually(lambda: words in self.text(), f"log says {words!r}:\n{self.text()}", 5)

    def count(self, words):
        return self.text().count(words)


class Answer:
    def __init__(self, response, body):
        self.status, self.reason, self.body = response.status, response.reason, body
        self.headers = response.getheaders()

    def header(self, name):
        return [value for other, value in self.headers if other.lower() == name.lower()]


def send(path, method="GET", body=None, headers=None, connection=None, chunked=False):
    mine = connection or http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    mine.request(method, path, body, headers or {}, encode_chunked=chunked)
    response = mine.getresponse()
    answer = Answer(response, response.read())
    if not connection:
        mine.close()
    return answer


def raw(data, until_closed=True, wait=0):
    """Sends bytes; returns the complete response."""
    with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
        sock.sendall(data)
        if wait:
            time.sleep(wait)
            return b""
        out = b""
        while until_closed:
            piece = sock.recv(65536)
            if not piece:
                break
            out += piece
        return out
