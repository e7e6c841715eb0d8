"""Connections, daemons, workers and nginxes that come and go."""

import http.client
import os
import signal
import socket
import time

import fake_daemon
import world
from cases_responses import cut
from stage import DIR, HAS_PROBE, PORT, SOCKET, app, eventually, listening, raw, send
from world import site, usual_site


def test_keepalive_is_used():
    world.daemon.drop_connections()
    eventually(lambda: not world.daemon.open, "connections are gone")
    world.daemon.reset_counts()
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    for path in ("echo", "empty", "nocontent", "notmodified", "unknown", "bytewise", "frames", "interim", "big",
                 "redirected", "fail", "bigframe", "cookies"):
        for prefix in ("/x/", "/buffered/", "/intercept/"):
            send(prefix + path, connection=connection)
            send(prefix + path, "HEAD", connection=connection) if path == "echo" else None
    for body in (b"x", b"y" * 3_000_000):
        for prefix in ("/x/body", "/unbuffered/body", "/small/body"):
            assert send(prefix, "POST", body, connection=connection).body == body
    assert (world.daemon.connections, len(world.daemon.hellos)) == (1, 1), (world.daemon.connections, len(world.daemon.hellos))


def test_globals_follow_the_hello():
    world.daemon.drop_connections()
    eventually(lambda: not world.daemon.open, "connections are gone")
    world.daemon.reset_counts()
    before = time.time()
    for _ in range(3):
        assert send("/x/echo").body == b"hello"
    (received,) = world.daemon.globals
    assert received.settings == {"max_pool_size": 3, "user_switching": False, "ctl": {"a": "1", "b": "2"}}, received.settings
    assert before - 600 < received.configured_ms / 1000 < before + 1, received.configured_ms


def globals_of_rosters():
    """The globals sent on the connections that carry no request."""
    return [connection.globals for connection in list(world.daemon.roster_connections)]


def connected():
    """There is a roster connection for each address of the daemon: its socket, and a link to it."""
    return len(globals_of_rosters()) == 2


def test_the_configuration_is_sent_before_any_request():
    before = time.time()
    world.nginx.reload(usual_site().replace("passenger_max_pool_size 3", "passenger_max_pool_size 4"))
    eventually(lambda: [each.settings["max_pool_size"] for each in globals_of_rosters()] == [4, 4], "the daemon knows")
    assert all(each.configured_ms / 1000 > before - 1 for each in globals_of_rosters())
    assert not world.daemon.requests
    world.nginx.reload(usual_site())
    eventually(lambda: [each.settings["max_pool_size"] for each in globals_of_rosters()] == [3, 3], "the daemon knows")


def test_only_the_first_of_many_workers_sends_a_roster():
    world.nginx.reload(usual_site().replace("worker_processes 1;", "worker_processes 4;"))
    eventually(connected, "the daemon knows")
    for _ in range(20):
        assert send("/x/echo").body == b"hello"
    assert connected()
    world.nginx.reload(usual_site())


def test_a_roster_connection_is_opened_again():
    eventually(connected, "the daemon knows")
    world.daemon.drop_connections()
    eventually(lambda: not world.daemon.roster_connections, "they are gone")
    eventually(connected, "they are back")


def test_a_roster_connection_ends_at_an_unexpected_frame():
    eventually(connected, "the daemon knows")
    for connection in list(world.daemon.roster_connections):
        connection.send(fake_daemon.frame(fake_daemon.RESPONSE, b"for whom?"))
    eventually(lambda: not world.daemon.roster_connections, "they are gone")
    world.log.has("sent a Response frame instead of a response")
    eventually(connected, "they are back")


def test_a_roster_connection_does_not_delay_the_exit():
    eventually(connected, "the daemon knows")
    for sign in (signal.SIGQUIT, signal.SIGTERM):
        world.nginx.running.send_signal(sign)
        assert world.nginx.running.wait(20) == 0
        world.nginx.start(usual_site())


def test_pre_started_apps_are_marked_in_the_roster():
    urls = (f"http://me:secret@shop.example:{PORT}/node/x?y", f"http://127.0.0.1:{PORT}/blog/x",
            f"http://127.0.0.1:{PORT}/aliased/x")
    lines = "".join(f"passenger_pre_start {url};" for url in urls)
    site_without_minimum = usual_site().replace("passenger_min_instances 2;", "")
    for text, started in ((site_without_minimum, 0), (site_without_minimum.replace("map ", lines + "map "), 3)):
        world.log.mark()
        world.nginx.reload(text)
        eventually(lambda started=started: len(world.daemon.roster_connections) == 2 and
                   max(each.roster.count(b"nginx/") for each in world.daemon.roster_connections) == started,
                   f"{started} apps are started")
        assert "passenger_pre_start" not in world.log.text(), world.log.text()
    rosters = [each.roster for each in world.daemon.roster_connections]
    assert any(f"{DIR}/nodeapp".encode() in each for each in rosters), rosters
    world.nginx.reload(usual_site())


def test_sockets_share_an_upstream_block_and_a_named_block_works():
    assert send("/spelled/echo").body == b"hello"
    assert send("/own/echo").body == b"hello"
    assert send("/x/echo").body == b"hello"


def test_connections_with_leftover_bytes_are_not_reused():
    before = world.daemon.connections
    assert send("/x/trailing").body == b"hello"
    assert send("/x/trailing").body == b"hello"
    assert send("/buffered/trailing").body == b"hello"
    assert world.daemon.connections >= before + 2


def test_inaccessible_apps_and_sockets_are_logged_with_advice():
    # Root may enter everything, so the worker's user has to be another.
    secret = app("secret", "config.ru")
    os.chmod(secret, 0o700)
    text = site(SOCKET, f"location /secret {{ root {secret}/public; }}").replace("user root", "user nobody nogroup")
    world.nginx.reload(text)
    try:
        world.log.mark()
        assert send("/secret/x").status == 500
        world.log.has(f"may not enter {secret}")
        assert "chmod" in world.log.text()
        os.chmod(SOCKET, 0o600)
        assert send("/x/echo").status == 502
        world.log.has("is not writable for nginx's user")
    finally:
        os.chmod(SOCKET, 0o666)
        world.nginx.reload(usual_site())


def test_a_client_abort_is_passed_to_the_daemon():
    world.daemon.gone = 0
    raw(b"GET /x/slow HTTP/1.1\r\nHost: x\r\n\r\n", wait=0.1)
    eventually(lambda: world.daemon.gone > 0, "the daemon sees that the client has left")
    assert send("/x/echo").body == b"hello"


def test_a_connection_that_the_daemon_closed_is_replaced():
    assert send("/x/echo").body == b"hello"
    world.daemon.drop_connections()
    eventually(lambda: not world.daemon.open, "connections are gone")
    assert send("/x/echo").body == b"hello"
    assert send("/x/body", "PUT", b"x" * 100).body == b"x" * 100


def test_a_goodbye_closes_an_idle_connection():
    goodbye = fake_daemon.frame(fake_daemon.GOODBYE)
    assert send("/x/echo").body == b"hello"
    for sock in list(world.daemon.open):
        sock.sendall(goodbye)
    eventually(lambda: not world.daemon.open, "nginx has closed it")
    eventually(connected, "the daemon knows")
    world.log.mark()
    for connection in list(world.daemon.roster_connections):
        connection.send(goodbye)
    eventually(lambda: not world.daemon.roster_connections, "they are closed")
    eventually(connected, "they are back")
    assert "[error]" not in world.log.text(), world.log.text()


def test_a_request_that_crosses_a_goodbye_is_served_and_is_the_last():
    for prefix in ("/x/", "/buffered/", "/intercept/"):
        for path, body in (("goodbye", b"hello"), ("goodbye_interim", b"after"), ("goodbye_empty", b"")):
            for method, sent in (("GET", None), ("POST", b"once")):
                assert send("/x/echo").body == b"hello"
                before = world.daemon.connections
                assert send(prefix + path, method, sent).body == body, (prefix, path, method)
                eventually(lambda: not world.daemon.open, "nginx has closed it")
                assert send("/x/echo").body == b"hello"
                assert world.daemon.connections == before + 1, (prefix, path, method)


def test_reload():
    workers = world.nginx.workers()
    for _ in range(3):
        assert send("/x/echo").body == b"hello"
        world.nginx.reload(usual_site())
    assert send("/x/echo").body == b"hello" and not set(workers) & set(world.nginx.workers())


def test_one_process_or_many():
    for processes in ("master_process off;", "worker_processes 8;"):
        world.nginx.stop()
        world.nginx.start(usual_site().replace("worker_processes 1;", processes))
        for prefix in ("/x/", "/buffered/", "/unbuffered/"):
            assert send(prefix + "body", "POST", b"z" * 100_000).body == b"z" * 100_000, (processes, prefix)
        wanted = 8 if "8" in processes else 0
        # The first of them may have served it all before the last is there.
        eventually(lambda wanted=wanted: len(world.nginx.workers()) == wanted, f"{processes} makes {wanted} workers")
    world.nginx.stop()
    world.nginx.start(usual_site())


def test_a_tunnel_survives_a_graceful_shutdown():
    with socket.create_connection(("127.0.0.1", PORT), 10) as tunnel:
        tunnel.sendall(b"GET /x/websocket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert until(tunnel, b"welcome\n").startswith(b"HTTP/1.1 101 ")
        world.nginx.running.send_signal(signal.SIGQUIT)
        eventually(lambda: not listening(), "nginx takes no new connections")
        tunnel.sendall(b"still here\n")
        assert until(tunnel, b"HERE\n") == b"STILL HERE\n"
        assert world.nginx.running.poll() is None
    assert world.nginx.running.wait(20) == 0
    world.nginx.start(usual_site())


def until(sock, end):
    """What comes until it ends like this."""
    seen = b""
    while not seen.endswith(end):
        piece = sock.recv(4096)
        assert piece, seen
        seen += piece
    return seen


def test_overrun():
    send("/panic-overrun/echo")


def test_a_refusal_is_explained():
    world.daemon.drop_connections()
    eventually(lambda: not world.daemon.open, "connections are gone")
    world.daemon.refuse = True
    try:
        world.log.mark()
        assert send("/x/echo").status == 502
        world.log.has("upgrade the nginx module")
    finally:
        world.daemon.refuse = False
    assert send("/x/echo").status == 200


def test_a_missing_daemon_is_logged_once():
    world.daemon.close()
    time.sleep(0.1)
    world.log.mark()
    for _ in range(5):
        assert send("/x/echo").status == 502
    world.log.has("systemctl status flying-passenger")
    assert world.log.count("cannot be reached") == 1 and world.log.count("connect() to unix:") == 5
    # Each roster connection logs it once, however often it tries.
    eventually(lambda: world.log.count("cannot send nginx's configuration to flying-passenger yet") == 2, "both have tried")
    world.log.mark()
    world.daemon = fake_daemon.Daemon(SOCKET)
    assert send("/x/echo").status == 200
    eventually(lambda: world.daemon.roster_connections, "it is connected again")
    # nginx's own line for a missing socket is [crit]; it is not this module's to say.
    assert "[crit]" not in world.log.text()


def test_panics_cost_one_request():
    if not HAS_PROBE:
        return "the module has no probe"
    workers = world.nginx.workers()
    for where, status in (("content", 500), ("request", 500), ("head", 500), ("body", None)):
        world.log.mark()
        if status:
            assert send(f"/panic-{where}/echo").status == status, where
        else:
            assert cut(f"/panic-{where}/echo"), where
        world.log.has(f"probe in {where}")
        assert world.log.count("[alert]") == 1 and "stack backtrace" not in world.log.text()
    assert world.nginx.workers() == workers and send("/x/echo").status == 200
    world.log.mark()
    return None


def test_a_client_abort_can_be_ignored():
    world.daemon.gone = 0
    raw(b"GET /lingering/slow HTTP/1.1\r\nHost: x\r\n\r\n", wait=0.1)
    time.sleep(0.3)
    assert world.daemon.gone == 0
