"""Responses on their way to the client, whole, cut and broken."""

import http.client
import socket
import time

import world
from fake_daemon import BIG
from stage import PORT, SOCKET, conf, raw, send
from world import site, usual_site


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


def test_responses_do_not_depend_on_how_bytes_are_split():
    for prefix in ("/x/", "/buffered/"):
        assert send(prefix + "bytewise").body == b"hello", prefix
        assert send(prefix + "frames").body == b"".join(b"part %02d\n" % at for at in range(20)), prefix
        assert send(prefix + "big").body == BIG, prefix
        assert send(prefix + "bigframe").body == BIG, prefix
        assert send(prefix + "interim").body == b"after", prefix
        assert send(prefix + "bigheaders").body == b"ok", prefix


def test_interim_responses_reach_the_client_where_nginx_can_send_them():
    can, _ = world.nginx.test(conf("early_hints 1;"))
    if not can:
        return "nginx before 1.29 sends none"
    world.nginx.reload(site(SOCKET, "location /hints/ { early_hints 1; }"))
    try:
        for path in ("/hints/interim", "/x/interim", "/hints/echo"):
            answer = raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).decode()
            heads = answer.split("\r\n\r\n")
            hinted = heads[0].startswith("HTTP/1.1 103 Early Hints\r\n") and "Link: </x.css>" in heads[0]
            assert hinted == (path == "/hints/interim"), answer
            assert heads[1 if hinted else 0].startswith("HTTP/1.1 200 OK\r\n"), answer
            assert answer.endswith("hello" if path == "/hints/echo" else "after"), answer
    finally:
        world.nginx.reload(usual_site())
    return None


def test_a_slow_client_receives_everything():
    for prefix in ("/x/", "/buffered/"):
        with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
            sock.sendall(f"GET {prefix}big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            total = 0
            while piece := sock.recv(200_000):
                total += len(piece)
                time.sleep(0.002)
        assert total > len(BIG)


def test_a_complete_response_gets_a_content_length():
    answer = send("/x/unknown")
    assert (answer.body, answer.header("Content-Length")) == (b"at once", ["7"])
    assert send("/x/frames").header("Transfer-Encoding") == ["chunked"]


def test_streams_are_forwarded_immediately():
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


def test_truncated_responses_are_detected():
    for path in ("truncated", "cutstream", "short", "long", "bodygarbage", "abortlate"):
        for prefix in ("/x/", "/buffered/"):
            world.log.mark()
            assert cut(prefix + path), prefix + path
            assert "[error]" in world.log.text(), prefix + path
    world.log.has("its chunk has no end")


def test_bad_heads_are_502():
    sentences = {
        "garbage": "invalid frame", "closed": "prematurely closed", "injection": "invalid header in the app's response",
        "hugehead": "passenger_buffer_size", "abort": "process 4711 ended before it answered",
        "websocket": "status 101",
    }
    for path, sentence in sentences.items():
        world.log.mark()
        assert send("/x/" + path).status == 502, path
        world.log.has(sentence)


def test_response_headers():
    answer = send("/x/cookies")
    assert answer.header("Set-Cookie") == ["a=1", "b=2"] and answer.header("Status") == ["200 OK"]
    assert answer.header("Server") == ["ours"] and answer.header("X-Powered-By") == ["us"]
    assert not answer.header("X-Accel-Expires") and not answer.header("Transfer-Encoding")
    assert send("/x/teapot").reason == "I am a teapot"
    assert send("/x/fail").reason == "Service Temporarily Unavailable"


def test_intercepted_errors():
    assert send("/x/fail").body == b"the app's own page"
    assert send("/intercept/fail").body == b"nginx's own page"


def test_accel_redirect():
    for prefix in ("/x/", "/buffered/"):
        assert send(prefix + "redirected").body == b"sent by nginx\n"


def test_the_status_page():
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    send("/x/echo", connection=connection)
    before = world.daemon.connections
    for path, part in (("/status", b"page"), ("/status?x=1", b"page"), ("/status?data", b"data"), ("/status?a&data&b", b"data")):
        answer = send(path, connection=connection)
        assert (answer.status, answer.body) == (200, part * 20_000), path
        assert answer.header("Cache-Control") == ["no-store"]
        answer = send(path, "HEAD", connection=connection)
        assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", ["80000"]), path
    # What a GET carries is read, and stays with nginx.
    for size in (1, 3_000_000):
        assert send("/status", body=b"z" * size, connection=connection).status == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert send("/status", method, connection=connection).status == 405, method
    assert send("/x/echo", connection=connection).body == b"hello"
    assert world.daemon.connections == before, "they share the connections of requests"


def test_a_daemon_without_a_status_page_is_logged_with_advice():
    world.daemon.has_page = False
    try:
        world.log.mark()
        assert send("/status").status == 502
        world.log.has("frame type 0x07 is unknown; upgrade flying-passenger to a release that supports passenger_status")
        assert world.log.count("[error]") == 1 and send("/x/echo").body == b"hello"
    finally:
        world.daemon.has_page = True


def test_read_timeout():
    world.log.mark()
    assert send("/patient/slow").status == 504
    world.log.has("upstream timed out")


def test_a_tunnel():
    with socket.create_connection(("127.0.0.1", PORT), 10) as sock:
        sock.sendall(b"GET /x/websocket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
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
    assert world.daemon.requests[-1].upgrade and world.daemon.requests[-1].header("Upgrade") == ["websocket"]


def test_an_app_may_switch_buffering():
    for prefix in ("/x/", "/buffered/"):
        for word in ("yes", "no"):
            assert send(f"{prefix}buffering-{word}").body == BIG, (prefix, word)
