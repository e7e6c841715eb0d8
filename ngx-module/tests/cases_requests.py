"""Requests on their way to the daemon: which ones, and what the daemon gets to see."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import time

import world
from stage import DIR, HAS_PROBE, PORT, raw, send
from world import APP, BLOG


def test_get():
    answer = send("/x/echo?a=1&b=%20")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"hello", ["5"])
    request = world.daemon.requests[-1]
    assert request.uri == b"/x/echo?a=1&b=%20" and request.method == "GET"
    assert (request.root, request.group) == (APP, f"{APP} (production)")
    assert (request.kind, request.start_command, request.base_uri) == ("ruby", "", "")
    assert request.document_root == f"{APP}/public" and request.remote_addr == "127.0.0.1" and request.remote_port
    assert request.server_software.startswith("nginx/") and not request.https and not request.upgrade
    assert abs(request.started_ms / 1000 - time.time()) < 5 and request.length == "none"
    assert request.settings == {
        "env_var": {"SHARED": "server", "LANG": "C"}, "min_instances": 2, "ruby": "/usr/bin/ruby",
    }, request.settings


def test_post():
    for prefix in ("/x/", "/small/", "/unbuffered/", "/buffered/", "/sendfile/", "/infile/"):
        for size in (1, 1000, 20_000, 3_000_000):
            body = os.urandom(size)
            assert send(prefix + "body", "POST", body).body == body, (prefix, size)
            request = world.daemon.requests[-1]
            assert (request.length, request.body_len) == ("known", size), (prefix, size, request.length)
            assert request.header("content-length") == [str(size)]


def test_post_without_body():
    answer = send("/x/body", "POST", b"")
    request = world.daemon.requests[-1]
    assert (answer.body, request.length, request.body_len, request.frames) == (b"", "known", 0, 0), request.length
    raw(b"POST /x/body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert world.daemon.requests[-1].length == "none"


def test_post_chunked():
    for prefix, length in (("/x/", "known"), ("/small/", "known"), ("/unbuffered/", "unknown")):
        pieces = [os.urandom(100_000) for _ in range(20)]
        answer = send(prefix + "body", "POST", iter(pieces), {"Transfer-Encoding": "chunked"}, chunked=True)
        assert answer.body == b"".join(pieces), prefix
        request = world.daemon.requests[-1]
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
    assert answer.endswith(b"0123456789") and world.daemon.requests[-1].frames > 3


def test_a_response_may_precede_the_end_of_the_body():
    for prefix in ("/x/", "/small/", "/unbuffered/"):
        for size in (50_000, 5_000_000):
            answer = send(prefix + "early", "POST", b"x" * size)
            assert (answer.status, answer.body) == (413, b"too large"), (prefix, size)


def test_request_headers():
    answer = raw(
        b"GET /x/headers HTTP/1.1\r\nHost: example.org\r\nConnection: close, te\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
        b"Proxy: evil\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
        b"X-Forwarded-User: eve\r\nX_Forwarded_User: eve\r\n"
        b"X_Twice: 3\r\nX_Only: 4\r\nCookie: a=b\r\n\r\n"
    )
    body = answer.split(b"\r\n\r\n", 1)[1].decode()
    client, name, start = body.rstrip("\n").rsplit("\n", 2)
    assert client == "Host: example.org\nX-Twice: 1\nX-Twice: 2\nX_Only: 4\nCookie: a=b", body
    assert re.fullmatch("X-Request-Id: [0-9a-f]{32}", name), body
    assert abs(int(start.removeprefix("X-Request-Start: t=")) / 1e6 - time.time()) < 600, body


def test_request_id_and_start_of_the_client_are_kept():
    theirs = {"X-Request-Id": "abc-123", "X-Request-Start": "t=1"}
    lines = send("/x/headers", headers=theirs).body.decode().splitlines()
    assert "X-Request-Id: abc-123" in lines and "X-Request-Start: t=1" in lines, lines
    assert sum(line.startswith("X-Request-") for line in lines) == 2, lines
    for forged in ("a b", "x" * 256, '"'):
        names = [line for line in send("/x/headers", headers={"X-Request-Id": forged}).body.decode().splitlines()
                 if line.startswith("X-Request-Id: ")]
        assert len(names) == 1 and re.fullmatch("X-Request-Id: [0-9a-f]{32}", names[0]), names


def test_set_headers():
    answer = send("/set/headers?user=ann", headers={"X-User": "eve", "X_User": "eve", "Cookie": "c", "A": "b"})
    lines = answer.body.decode().splitlines()
    assert "X-User: ann" in lines and "A: b" in lines and "eve" not in answer.body.decode()
    assert not any(line.startswith("Cookie") for line in lines)
    assert "X-User" not in send("/set/headers").body.decode()


def test_uris():
    send("/rewritten/echo?q=%41")
    assert world.daemon.requests[-1].uri == b"/a%20b/echo?q=%41", world.daemon.requests[-1].uri
    send("/x//y/../%7Ez/echo")
    assert world.daemon.requests[-1].uri == b"/x//y/../%7Ez/echo"


def test_files_are_served_by_nginx():
    before = len(world.daemon.requests)
    assert send("/file.txt").body == b"public/file.txt of app\n"
    assert send("/about").body == b"public/about.html of app\n" and send("/about?x").status == 200
    assert send("/about").header("Content-Type") == ["text/html"]
    assert send("/").body == b"public/index.html of app\n"
    assert send("/about", "HEAD").body == b""
    assert send("/file.txt", "POST", b"x").status == 405
    assert len(world.daemon.requests) == before
    assert send("/about", "POST", b"x").body == b"hello"
    assert send("/dir").body == b"hello" and send("/dir/").body == b"hello"


def test_apps_are_found():
    assert send("/node").status == 200
    assert (world.daemon.requests[-1].kind, world.daemon.requests[-1].group) == ("nodejs", "blue")
    assert world.daemon.requests[-1].root == f"{DIR}/nodeapp" and world.daemon.requests[-1].settings["app_env"] == "staging"
    send("/typed")
    assert world.daemon.requests[-1].kind == "python" and world.daemon.requests[-1].settings["startup_file"] == "app.py"
    send("/command")
    assert (world.daemon.requests[-1].kind, world.daemon.requests[-1].start_command) == ("generic", "./serve $PORT")
    before = len(world.daemon.requests)
    for path in ("/empty/x", "/mistyped/x", "/off/x"):
        assert send(path).body == b"no such file", path
    assert len(world.daemon.requests) == before


def test_if_has_its_own_settings():
    send("/if?env=1")
    assert world.daemon.requests[-1].group == "inside"
    send("/if")
    assert world.daemon.requests[-1].group == f"{APP} (production)"


def test_a_final_slash_is_added():
    answer = send("/slash")
    assert answer.status == 301 and answer.header("Location")[0].endswith("/slash/")


def test_base_uris():
    for path, uri in (("/blog/echo", "/blog"), ("/blog", "/blog"), ("/aliased/echo", "/aliased"), ("/aliased", "/aliased")):
        assert send(path).body == b"hello", path
        request = world.daemon.requests[-1]
        assert (request.base_uri, request.kind) == (uri, "python"), path
        assert request.root == BLOG, (path, request.root)
    assert request.document_root == f"{BLOG}/public"
    assert send("/blog/style.css").body == b"public/style.css of blog\n"
    assert send("/aliased/style.css").body == b"public/style.css of blog\n"
    assert send("/blogger").body == b"no such file"


def curl(*args, body=None):
    """The daemon's answer through curl: status and body."""
    command = ["curl", "-sk", "-m", "20", "-w", "\n%{http_code} %{http_version}", *args]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    assert done.returncode == 0, (args, done.returncode)
    return done.stdout.rsplit(b"\n", 1)


def test_https_and_http2():
    if not world.TLS or not shutil.which("curl"):
        return "there is no openssl or no curl"
    base = f"https://localhost:{world.TLS_PORT}"
    assert curl("--http1.1", f"{base}/x/echo") == [b"hello", b"200 1.1"]
    assert world.daemon.requests[-1].https
    body, status = curl(f"{base}/x/echo")
    assert (body, status[:3]) == (b"hello", b"200") and world.daemon.requests[-1].https
    for prefix in ("x", "unbuffered", "small"):
        sent = os.urandom(2_000_000)
        for how in ((), ("-H", "Content-Length:")):
            got, status = curl(*how, "--data-binary", "@-", f"{base}/{prefix}/body", body=sent)
            assert got == sent and status[:3] == b"200", (prefix, how)
    return None


def test_subrequests():
    answer = send("/ssi")
    assert answer.body == b"hello and at once\n", answer.body
    seen = {request.uri for request in world.daemon.requests}
    assert seen == {b"/x/echo?one", b"/buffered/unknown"}, seen


def test_a_request_allocates_nothing_outside_of_pools():
    """Each request finds what it needs in nginx's pools. The first ones fill caches, and a timer may allocate."""
    if not HAS_PROBE:
        return "the module is built without the probe"
    sent = {f"X-Other-{number}": "x" * number for number in range(20)}
    cases: list[tuple] = [
        ("/counted/echo?user=a", "GET", None, sent),
        ("/counted/bytewise", "GET", None, {}),
        ("/counted/body", "POST", b"x" * 1000, {"X-Request-Id": "of-the-client"}),
        ("/counted/teapot", "GET", None, {"X-Request-Id": "not acceptable", "X_Other_1": "lookalike"}),
        ("/counted-rewritten/echo?a=b", "GET", None, {}),
    ]
    for case in cases:
        allocated = allocations(*case)
        assert sorted(allocated)[-5] == 0, (case, allocated)
    # A response that is refused allocates its line for the log, which shows that allocations are counted.
    assert min(allocations("/counted/injection", "GET", None, {})) > 0
    return None


def allocations(path, method, body, headers):
    """The module's allocations between two requests in a row, many times."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    answers = [send(path, method, body, headers, connection) for _ in range(60)]
    connection.close()
    counts = [int(*answer.header("X-Allocations")) for answer in answers]
    return [counts[at + 1] - counts[at] for at in range(10, len(counts) - 1)]
