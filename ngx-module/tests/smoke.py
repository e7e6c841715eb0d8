#!/usr/bin/env python3
"""The module in a real nginx, against a daemon that misbehaves on demand.

    usage: smoke.py libngx_http_passenger_module.so [nginx] [test...]

Needs nginx and Python's standard library. The module is best built with `--features panic-probe`. Ends with a line
that counts what passed.
"""

import glob
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_daemon  # noqa: E402

MODULE = os.path.abspath(sys.argv[1])
NGINX = sys.argv[2] if len(sys.argv) > 2 else "/usr/sbin/nginx"
WRAPPER = os.environ.get("SMOKE_WRAPPER", "").split()  # such as: valgrind --quiet
DIR = tempfile.mkdtemp(prefix="passenger-smoke-")
SOCKET = f"{DIR}/daemon.sock"
HAS_PROBE = b"passenger_panic_in" in open(MODULE, "rb").read()
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
        self.process = None

    def start(self, text):
        self.write(text)
        self.process = subprocess.Popen([*WRAPPER, NGINX, "-p", DIR, "-c", f"{DIR}/nginx.conf"], stderr=subprocess.PIPE)
        eventually(lambda: listening() or self.process.poll() is not None, "nginx listens")
        assert self.process.poll() is None, self.process.stderr.read().decode()

    def write(self, text):
        with open(f"{DIR}/nginx.conf", "w", encoding="utf-8") as out:
            out.write(text)

    def test(self, text):
        """`nginx -t`: whether it is content, and what it says."""
        with open(f"{DIR}/test.conf", "w", encoding="utf-8") as out:
            out.write(text)
        done = subprocess.run([NGINX, "-p", DIR, "-c", f"{DIR}/test.conf", "-t"], capture_output=True, text=True)
        return done.returncode == 0, done.stderr

    def workers(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path, encoding="utf-8") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(path.split("/")[2]))
        return found

    def reload(self, text):
        before = set(self.workers())
        self.write(text)
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.workers() and not before & set(self.workers()), "workers are new")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(20)
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
    """Sends bytes; all that comes back."""
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


nginx, log, daemon = Nginx(), Log(), None
APP = app("app", "config.ru", "public/file.txt", "public/about.html", "public/index.html", "public/dir/")
BLOG = app("blog", "passenger_wsgi.py", "public/style.css")
os.makedirs(f"{DIR}/www", exist_ok=True)
os.symlink(f"{BLOG}/public", f"{DIR}/www/blog")
app("empty")
app("nodeapp", "app.js")
os.makedirs(f"{DIR}/internal", exist_ok=True)
with open(f"{DIR}/internal/file.txt", "w", encoding="utf-8") as file:
    file.write("sent by nginx\n")


def site(fly_with, more=""):
    return conf(
        f"""
        upstream spelled {{ server unix:{SOCKET}; keepalive 4; }}
        map $host $missing_app {{ default empty; }}
        passenger_fly_with {fly_with};
        passenger_env_var LANG C; passenger_env_var SHARED http;
        passenger_min_instances 2; client_max_body_size 100m; underscores_in_headers on;
        server {{
            listen 127.0.0.1:{PORT}; root {APP}/public;
            passenger_enabled on; passenger_ruby /usr/bin/ruby; passenger_env_var SHARED server;
            error_page 404 /404-of-nginx; error_page 503 /503-of-nginx;
            location = /404-of-nginx {{ passenger_enabled off; return 200 "no such file"; }}
            location = /503-of-nginx {{ passenger_enabled off; return 200 "nginx's own page"; }}
            location /buffered/ {{ passenger_buffer_response on; }}
            location /unbuffered/ {{ passenger_request_buffering off; }}
            location /small/ {{ client_body_buffer_size 8k; }}
            location /intercept/ {{ passenger_intercept_errors on; }}
            location /spelled/ {{ passenger_fly_with spelled; }}
            location /off/ {{ passenger_enabled off; }}
            location /slash/ {{ }}
            location /empty/ {{ root {DIR}/$missing_app/public; }}
            location /node {{ passenger_app_root {DIR}/nodeapp; passenger_app_env staging; passenger_app_group_name blue; }}
            location /typed {{ passenger_app_type wsgi; passenger_startup_file app.py; }}
            location /mistyped {{ passenger_app_type fortran; }}
            location /command {{ passenger_app_start_command "./serve $PORT"; }}
            location /blog {{ root {DIR}/www; passenger_base_uri /blog; }}
            location ~ ^/aliased(/.*|$) {{ alias {BLOG}/public$1; passenger_base_uri /aliased;
                passenger_app_root {BLOG}; passenger_document_root {BLOG}/public; }}
            location /set {{ passenger_set_header X-User "$arg_user"; passenger_set_header Cookie ""; }}
            location /internal/ {{ internal; passenger_enabled off; root {DIR}; }}
            location /rewritten {{ rewrite ^/rewritten/(.*)$ "/a b/$1" break; }}
            location /patient {{ passenger_read_timeout 300ms; }}
            location /if {{ if ($arg_env) {{ passenger_app_env $arg_env; passenger_app_group_name inside; }} }}
            {more}
        }}"""
    )


PROBES = "".join(
    f"location /panic-{where}/ {{ passenger_panic_in {where}; }}" for where in ("content", "request", "head", "body")
)


def test_get():
    answer = send("/x/echo?a=1&b=%20")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"hello", ["5"])
    request = daemon.requests[-1]
    assert request.uri == b"/x/echo?a=1&b=%20" and request.method == "GET"
    assert (request.root, request.group) == (APP, f"{APP} (production)")
    assert (request.kind, request.start_command, request.base_uri) == ("ruby", "", "")
    assert request.document_root == f"{APP}/public" and request.remote_addr == "127.0.0.1" and request.remote_port
    assert request.server_software.startswith("nginx/") and not request.https and not request.upgrade
    assert abs(request.started_ms / 1000 - time.time()) < 5 and request.length == "none"
    assert request.settings == {
        "env_var": {"SHARED": "server", "LANG": "C"}, "min_instances": 2, "ruby": "/usr/bin/ruby",
    }, request.settings


def test_keepalive_is_used():
    daemon.drop_connections()
    eventually(lambda: not daemon.open, "connections are gone")
    daemon.reset_counts()
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    for path in ("echo", "empty", "nocontent", "notmodified", "unknown", "bytewise", "frames", "interim", "big",
                 "redirected", "fail", "bigframe", "cookies"):
        for prefix in ("/x/", "/buffered/", "/intercept/"):
            send(prefix + path, connection=connection)
            send(prefix + path, "HEAD", connection=connection) if path == "echo" else None
    for body in (b"x", b"y" * 3_000_000):
        for prefix in ("/x/body", "/unbuffered/body", "/small/body"):
            assert send(prefix, "POST", body, connection=connection).body == body
    assert (daemon.connections, len(daemon.hellos)) == (1, 1), (daemon.connections, len(daemon.hellos))


def test_sockets_share_a_block_and_a_block_can_be_spelled_out():
    assert send("/spelled/echo").body == b"hello"
    assert send("/x/echo").body == b"hello"


def test_post():
    for prefix in ("/x/", "/small/", "/unbuffered/", "/buffered/"):
        for size in (1, 1000, 20_000, 3_000_000):
            body = os.urandom(size)
            assert send(prefix + "body", "POST", body).body == body, (prefix, size)
            request = daemon.requests[-1]
            assert (request.length, request.body_len) == ("known", size), (prefix, size, request.length)
            assert request.header("content-length") == [str(size)]


def test_post_without_body():
    answer = send("/x/body", "POST", b"")
    assert answer.body == b"" and daemon.requests[-1].length == "none"


def test_post_chunked():
    for prefix, length in (("/x/", "known"), ("/small/", "known"), ("/unbuffered/", "unknown")):
        pieces = [os.urandom(100_000) for _ in range(20)]
        answer = send(prefix + "body", "POST", iter(pieces), {"Transfer-Encoding": "chunked"}, chunked=True)
        assert answer.body == b"".join(pieces), prefix
        request = daemon.requests[-1]
        assert request.length == length and not request.header("transfer-encoding"), prefix
        assert request.header("content-length") == (["2000000"] if length == "known" else []), prefix


def test_unbuffered_body_arrives_while_it_is_sent():
    with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
        sock.sendall(b"POST /unbuffered/body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n")
        for byte in b"0123456789":
            time.sleep(0.03)
            sock.sendall(bytes([byte]))
        answer = b""
        while piece := sock.recv(4096):
            answer += piece
    assert answer.endswith(b"0123456789") and daemon.requests[-1].frames > 3


def test_an_early_answer_to_a_large_body():
    answer = send("/unbuffered/early", "POST", b"x" * 50_000)
    assert (answer.status, answer.body) == (413, b"too large")


def test_head():
    answer = send("/x/echo", "HEAD")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", ["5"])
    assert answer.header("X-Method") == ["HEAD"]


def test_responses_without_body():
    assert send("/x/nocontent").header("Content-Length") == [] and send("/x/nocontent").status == 204
    assert send("/x/notmodified").status == 304 and send("/x/notmodified").header("ETag") == ['"x"']
    for prefix in ("/x/", "/buffered/"):
        answer = send(prefix + "empty")
        assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", ["0"])


def test_responses_however_they_are_cut():
    for prefix in ("/x/", "/buffered/"):
        assert send(prefix + "bytewise").body == b"hello", prefix
        assert send(prefix + "frames").body == b"".join(b"part %02d\n" % at for at in range(20)), prefix
        assert send(prefix + "big").body == fake_daemon.BIG, prefix
        assert send(prefix + "bigframe").body == fake_daemon.BIG, prefix
        assert send(prefix + "interim").body == b"after", prefix
        assert send(prefix + "bigheaders").body == b"ok", prefix


def test_a_slow_client_gets_all():
    for prefix in ("/x/", "/buffered/"):
        with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
            sock.sendall(f"GET {prefix}big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            total = 0
            while piece := sock.recv(200_000):
                total += len(piece)
                time.sleep(0.002)
        assert total > len(fake_daemon.BIG)


def test_an_unknown_length_that_is_at_hand_is_told():
    answer = send("/x/unknown")
    assert (answer.body, answer.header("Content-Length")) == (b"at once", ["7"])
    assert send("/x/frames").header("Transfer-Encoding") == ["chunked"]


def test_streams_are_passed_on_at_once():
    with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
        sock.sendall(b"GET /x/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        start, seen = time.monotonic(), b""
        while b"first" not in seen:
            seen += sock.recv(4096)
        assert time.monotonic() - start < 0.3


def cut(path):
    """Whether the client sees that the response is not complete."""
    try:
        send(path)
    except (http.client.IncompleteRead, ConnectionResetError):
        return True
    return False


def test_truncated_responses_are_seen_as_such():
    for path in ("truncated", "cutstream", "short", "long", "bodygarbage", "abortlate"):
        for prefix in ("/x/", "/buffered/"):
            log.mark()
            assert cut(prefix + path), prefix + path
            assert "[error]" in log.text(), prefix + path
    log.has("its chunk has no end")


def test_bad_heads_are_502():
    sentences = {
        "garbage": "no frame", "closed": "prematurely closed", "injection": "not allowed in HTTP",
        "hugehead": "passenger_buffer_size", "abort": "process 4711 ended before it answered",
        "websocket": "status 101",
    }
    for path, sentence in sentences.items():
        log.mark()
        assert send("/x/" + path).status == 502, path
        log.has(sentence)


def test_connections_with_leftovers_are_not_used_again():
    before = daemon.connections
    assert send("/x/trailing").body == b"hello"
    assert send("/x/trailing").body == b"hello"
    assert send("/buffered/trailing").body == b"hello"
    assert daemon.connections >= before + 2


def test_request_headers():
    answer = raw(
        b"GET /x/headers HTTP/1.1\r\nHost: example.org\r\nConnection: close, te\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
        b"Proxy: evil\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
        b"X_Twice: 3\r\nX_Only: 4\r\nCookie: a=b\r\n\r\n"
    )
    body = answer.split(b"\r\n\r\n", 1)[1].decode()
    assert body == "Host: example.org\nX-Twice: 1\nX-Twice: 2\nX_Only: 4\nCookie: a=b\n", body


def test_set_headers():
    answer = send("/set/headers?user=ann", headers={"X-User": "eve", "X_User": "eve", "Cookie": "c", "A": "b"})
    lines = answer.body.decode().splitlines()
    assert "X-User: ann" in lines and "A: b" in lines and "eve" not in answer.body.decode()
    assert not any(line.startswith("Cookie") for line in lines)
    assert "X-User" not in send("/set/headers").body.decode()


def test_response_headers():
    answer = send("/x/cookies")
    assert answer.header("Set-Cookie") == ["a=1", "b=2"] and answer.header("Status") == ["200 OK"]
    assert answer.header("Server") == ["ours"] and answer.header("X-Powered-By") == ["us"]
    assert not answer.header("X-Accel-Expires") and not answer.header("Transfer-Encoding")
    assert send("/x/teapot").reason == "I am a teapot"
    assert send("/x/fail").reason == "Service Temporarily Unavailable"


def test_uris():
    send("/rewritten/echo?q=%41")
    assert daemon.requests[-1].uri == b"/a%20b/echo?q=%41", daemon.requests[-1].uri
    send("/x//y/../%7Ez/echo")
    assert daemon.requests[-1].uri == b"/x//y/../%7Ez/echo"


def test_files_are_nginxs():
    before = len(daemon.requests)
    assert send("/file.txt").body == b"public/file.txt of app\n"
    assert send("/about").body == b"public/about.html of app\n" and send("/about?x").status == 200
    assert send("/about").header("Content-Type") == ["text/html"]
    assert send("/").body == b"public/index.html of app\n"
    assert send("/about", "HEAD").body == b""
    assert send("/file.txt", "POST", b"x").status == 405
    assert len(daemon.requests) == before
    assert send("/about", "POST", b"x").body == b"hello"
    assert send("/dir").body == b"hello" and send("/dir/").body == b"hello"


def test_apps_are_found():
    assert send("/node").status == 200
    assert (daemon.requests[-1].kind, daemon.requests[-1].group) == ("nodejs", "blue")
    assert daemon.requests[-1].root == f"{DIR}/nodeapp" and daemon.requests[-1].settings["app_env"] == "staging"
    send("/typed")
    assert daemon.requests[-1].kind == "python" and daemon.requests[-1].settings["startup_file"] == "app.py"
    send("/command")
    assert (daemon.requests[-1].kind, daemon.requests[-1].start_command) == ("generic", "./serve $PORT")
    before = len(daemon.requests)
    for path in ("/empty/x", "/mistyped/x", "/off/x"):
        assert send(path).body == b"no such file", path
    assert len(daemon.requests) == before


def test_if_has_its_own_settings():
    send("/if?env=1")
    assert daemon.requests[-1].group == "inside"
    send("/if")
    assert daemon.requests[-1].group == f"{APP} (production)"


def test_a_final_slash_is_added():
    answer = send("/slash")
    assert answer.status == 301 and answer.header("Location")[0].endswith("/slash/")


def test_base_uris():
    for path, uri in (("/blog/echo", "/blog"), ("/blog", "/blog"), ("/aliased/echo", "/aliased"), ("/aliased", "/aliased")):
        assert send(path).body == b"hello", path
        request = daemon.requests[-1]
        assert (request.base_uri, request.kind) == (uri, "python"), path
        assert request.root == BLOG, (path, request.root)
    assert request.document_root == f"{BLOG}/public"
    assert send("/blog/style.css").body == b"public/style.css of blog\n"
    assert send("/aliased/style.css").body == b"public/style.css of blog\n"
    assert send("/blogger").body == b"no such file"


def test_unreadable_apps_are_500_with_advice():
    # Root may enter everything, so the worker's user has to be another.
    secret = app("secret", "config.ru")
    os.chmod(secret, 0o700)
    text = site(SOCKET, f"location /secret {{ root {secret}/public; }}").replace("user root", "user nobody nogroup")
    nginx.reload(text)
    try:
        log.mark()
        assert send("/secret/x").status == 500
        log.has(f"may not enter {secret}")
        assert "chmod" in log.text()
    finally:
        nginx.reload(site(SOCKET, PROBES if HAS_PROBE else ""))


def test_intercepted_errors():
    assert send("/x/fail").body == b"the app's own page"
    assert send("/intercept/fail").body == b"nginx's own page"


def test_accel_redirect():
    for prefix in ("/x/", "/buffered/"):
        assert send(prefix + "redirected").body == b"sent by nginx\n"


def test_read_timeout():
    log.mark()
    assert send("/patient/slow").status == 504
    log.has("upstream timed out")


def test_a_tunnel():
    with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
        sock.sendall(b"GET /x/websocket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n")
        seen = b""
        while b"welcome\n" not in seen:
            seen += sock.recv(4096)
        assert seen.startswith(b"HTTP/1.1 101 Switching Protocols\r\n") and b"Upgrade: echo\r\n" in seen, seen
        for word in (b"one", b"two" * 10_000):
            sock.sendall(word)
            back = b""
            while len(back) < len(word):
                back += sock.recv(65536)
            assert back == word.upper()
    assert daemon.requests[-1].upgrade and daemon.requests[-1].header("Upgrade") == ["echo"]


def test_a_client_that_leaves():
    daemon.gone = 0
    raw(b"GET /x/slow HTTP/1.1\r\nHost: x\r\n\r\n", wait=0.1)
    eventually(lambda: daemon.gone > 0, "the daemon sees that the client has left")
    assert send("/x/echo").body == b"hello"


def test_a_connection_that_the_daemon_closed_is_replaced():
    assert send("/x/echo").body == b"hello"
    daemon.drop_connections()
    eventually(lambda: not daemon.open, "connections are gone")
    assert send("/x/echo").body == b"hello"
    assert send("/x/body", "PUT", b"x" * 100).body == b"x" * 100


def test_reload():
    workers = nginx.workers()
    for _ in range(3):
        assert send("/x/echo").body == b"hello"
        nginx.reload(site(SOCKET, PROBES if HAS_PROBE else ""))
    assert send("/x/echo").body == b"hello" and not set(workers) & set(nginx.workers())


def test_a_refusal_is_explained():
    daemon.drop_connections()
    eventually(lambda: not daemon.open, "connections are gone")
    daemon.refuse = True
    try:
        log.mark()
        assert send("/x/echo").status == 502
        log.has("upgrade the nginx module")
    finally:
        daemon.refuse = False
    assert send("/x/echo").status == 200


def test_an_absent_daemon():
    global daemon
    daemon.close()
    time.sleep(0.1)
    log.mark()
    for _ in range(5):
        assert send("/x/echo").status == 502
    log.has("systemctl status flying-passenger")
    assert log.count("systemctl") == 1 and log.count("connect() to unix:") == 5
    log.mark()
    daemon = fake_daemon.Daemon(SOCKET)
    assert send("/x/echo").status == 200
    # nginx's own line for a missing socket is [crit]; it is not this module's to say.
    assert "[crit]" not in log.text()


def test_panics_cost_one_request():
    if not HAS_PROBE:
        return "the module has no probe"
    workers = nginx.workers()
    for where, status in (("content", 500), ("request", 500), ("head", 500), ("body", None)):
        log.mark()
        if status:
            assert send(f"/panic-{where}/echo").status == status, where
        else:
            assert cut(f"/panic-{where}/echo"), where
        log.has(f"probe in {where}")
        assert log.count("[alert]") == 1 and "stack backtrace" not in log.text()
    assert nginx.workers() == workers and send("/x/echo").status == 200
    log.mark()
    return None


CONFIGURATION = [
    ("passenger_enabled on;", "no passenger_fly_with"),
    ("passenger_fly_with /s; passenger_fly_with /s;", "duplicate"),
    ("passenger_fly_with nosuch; passenger_enabled on;", 'no such block'),
    ("passenger_fly_with run/x;", "neither the path of a socket"),
    ("passenger_enabled maybe;", 'it must be "on" or "off"'),
    ("passenger_min_instances many;", "invalid number"),
    ("passenger_max_requests -1;", "invalid number"),
    ("passenger_app_env a; rails_env b;", "is duplicate"),
    ("passenger_spawn_method magic;", "must be one of"),
    ("passenger_base_uri blog;", 'must begin with "/"'),
    ("passenger_ignore_headers X-Nothing;", "invalid value"),
    ("passenger_buffers 1 4k;", "at least 2"),
    ("passenger_busy_buffers_size 1k;", "must be equal to or greater"),
    ("passenger_env_var A;", "invalid number of arguments"),
    ('passenger_set_header A "$nosuch";', "unknown"),
    ("server { passenger_max_pool_size 3; }", "not allowed here"),
]


def test_mistakes_in_the_configuration():
    for text, sentence in CONFIGURATION:
        passed, said = nginx.test(conf(f"{text} server {{ listen 127.0.0.1:{PORT}; }}"))
        assert not passed and sentence in said, (text, said)


def test_configurations_of_the_predecessor():
    text = """passenger_root /x; passenger_max_pool_size 3; union_station_key x; passenger_friendly_error_pages off;
        passenger_force_max_concurrent_requests_per_process -1; passenger_temp_path temp/own 1 2;
        passenger_ignore_headers X-Accel-Redirect Set-Cookie; passenger_pass_header X-Accel-Expires;"""
    passed, said = nginx.test(conf(f"{text} passenger_fly_with {SOCKET}; server {{ passenger_enabled on; }}"))
    assert passed and "--max-pool-size" in said and "obsolete" in said, said


def test_no_daemon_is_needed_to_check():
    passed, said = nginx.test(conf("passenger_fly_with unix:/nowhere/s; server { passenger_enabled on; }"))
    assert passed and "warn" not in said, said


def main():
    global daemon
    daemon = fake_daemon.Daemon(SOCKET)
    wanted = sys.argv[3:]
    tests = {name[5:]: test for name, test in globals().items() if name.startswith("test_")}
    passed = failed = skipped = 0
    try:
        nginx.start(site(SOCKET, PROBES if HAS_PROBE else ""))
        for name, test in tests.items():
            if wanted and not any(word in name for word in wanted):
                continue
            daemon.reset_counts()
            log.mark()
            try:
                why = test()
                alarms = [line for line in log.text().splitlines() if "[alert]" in line or "[emerg]" in line]
                assert not alarms, alarms
            except Exception:  # noqa: BLE001  every failure counts
                failed += 1
                print(f"FAILED {name}\n{traceback.format_exc()}\n{log.text()[-3000:]}")
                continue
            skipped, passed = (skipped + 1, passed) if why else (skipped, passed + 1)
            print(f"{'skipped' if why else 'ok'} {name}{': ' + why if why else ''}")
    finally:
        nginx.stop()
        said = nginx.process.stderr.read().decode() if nginx.process else ""
        if said:
            print(said)
    if not failed:
        shutil.rmtree(DIR)
    else:
        print(f"kept {DIR}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
