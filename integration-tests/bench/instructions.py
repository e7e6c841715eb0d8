#!/usr/bin/env python3
"""Instructions of nginx's worker per request, with the module and with proxy_pass, counted by valgrind.

    make bench-instructions

The figures do not depend on what else the machine does: only user-space instructions count. One nginx runs without a worker
process under callgrind and is sent requests over one connection, first a few and then more; the difference is what they cost.
The server behind it is in this process and always answers at once with 12 bytes, in the module's frames or in HTTP. A browser's
request has 13 headers, wrk's has one. BENCH_FUNCTIONS is the number of functions that are listed (0).
"""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from measure.stage import NGINX, Stage

FEW, MANY = 200, 1200
FUNCTIONS = int(os.environ.get("BENCH_FUNCTIONS", "0"))
TARGET = 1.25

BODY = b"hello world\n"
# What nginx answers, which is the application in the row "nginx + nginx" of `make bench`.
HTTP = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 12\r\nConnection: keep-alive\r\n\r\n" + BODY
)
CLIENTS = {
    "wrk": "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "browser": """GET /products/1?color=blue HTTP/1.1\r
Host: 127.0.0.1:8080\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r
Accept-Language: en-US,en;q=0.5\r
Accept-Encoding: gzip, deflate, br\r
Referer: http://127.0.0.1:8080/products\r
Cookie: session=4f2b8c0de9a1; theme=dark\r
Upgrade-Insecure-Requests: 1\r
Sec-Fetch-Dest: document\r
Sec-Fetch-Mode: navigate\r
Sec-Fetch-Site: same-origin\r
Cache-Control: max-age=0\r
Connection: keep-alive\r
\r
""",
}

CONF = """
daemon off; master_process off; {user}
load_module {module};
pid {dir}/nginx.pid; error_log {dir}/nginx.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off; keepalive_requests 100000000;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    upstream back {{ server unix:{dir}/http.sock; keepalive 16; }}
    server {{
        listen unix:{dir}/proxy_pass.sock;
        location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
    server {{
        listen unix:{dir}/module.sock;
        root {dir}/app/public;
        passenger_enabled on; passenger_app_type python; passenger_fly_with {dir}/frames.sock;
    }}
}}
"""


def pair(name, value):
    """An encoded header."""
    return struct.pack("<HI", len(name), len(value)) + name + value


def frame(kind, payload, last=False):
    """A frame of the daemon."""
    return struct.pack("<IBBHI", len(payload), kind, last, 0, 0) + payload


def number(value):
    """bincode's varint."""
    if value < 251:
        return bytes([value])
    return b"\xfb" + struct.pack("<H", value) if value < 65536 else b"\xfc" + struct.pack("<I", value)


def framed_response():
    """The daemon's frames for the hello: status, phrase, a known length, process and times, headers; then the body."""
    head = number(200) + number(2) + b"OK" + number(1) + number(len(BODY)) + number(4711) + number(12) + number(345)
    headers = b"".join([
        pair(b"Content-Type", b"text/plain"), pair(b"Content-Length", b"12"), pair(b"Status", b"200 OK"),
        pair(b"X-Powered-By", b"Flying Passenger 0.1.0"),
    ])
    return frame(0x84, head + headers) + frame(0x85, BODY, last=True)


def serve_http(connection):
    """Answers each head of a request."""
    while received := connection.recv(65536):
        assert received.endswith(b"\r\n\r\n")
        connection.sendall(HTTP)


def serve_frames(connection):
    """Answers each frame of type Request. The module does not need the daemon's welcome."""
    response, received = framed_response(), b""
    while more := connection.recv(65536):
        received += more
        while len(received) >= 12 and len(received) >= 12 + int.from_bytes(received[:4], "little"):
            kind, received = received[4], received[12 + int.from_bytes(received[:4], "little"):]
            if kind == 0x02:
                connection.sendall(response)


def listen(path, serve):
    """A server in a thread."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen(16)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def load(path, request, times):
    """Sends requests over one connection, each when the response to the last is complete."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        for _ in range(times):
            client.sendall(request)
            received = b""
            while not received.endswith(BODY):
                more = client.recv(65536)
                assert more, received
                received += more
            assert received.startswith(b"HTTP/1.1 200"), received


def counts_of(profile):
    """Instructions by object and function, without those of called functions, from callgrind's file."""
    names, costs = {}, Counter()
    kind, function, skip = None, None, False
    for line in profile.read_text().splitlines():
        found = re.match(r"(fn|ob|cfn|cob)=(\(\d+\))(?: (.*))?", line)
        if found:
            key = (found[1][-2:], found[2])
            names.setdefault(key, found[3])
            if found[1] == "ob":
                kind = names[key]
            elif found[1] == "fn":
                function = names[key]
        elif line.startswith("calls="):
            skip = True
        elif re.match(r"[+\-*\d]", line):
            if not skip:
                costs[Path(kind).name, function] += int(line.split()[1])
            skip = False
    return costs


def stop(nginx):
    """Ends an nginx without a worker process, which does not notice a signal that arrives just before it waits."""
    for _ in range(100):
        nginx.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            nginx.wait(0.5)
            return


def measure(stage, way, request, times):
    """Instructions of nginx from its start to its end, with this many requests."""
    profile = stage.dir / f"{way}.{times}.out"
    nginx = stage.dir / "nginx"
    argv = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", NGINX]
    stage.start([*argv, "-p", nginx, "-e", nginx / "log", "-c", nginx / "nginx.conf"])
    stage.wait_for_socket(nginx / f"{way}.sock")
    load(nginx / f"{way}.sock", request, times)
    stop(stage.children.pop())
    for path in (nginx / "module.sock", nginx / "proxy_pass.sock"):
        path.unlink(missing_ok=True)
    return counts_of(profile)


def prepare(stage):
    """Writes nginx's configuration and starts the servers."""
    nginx = stage.dir / "nginx"
    (nginx / "app/public").mkdir(parents=True)
    (nginx / "app/passenger_wsgi.py").write_text("application = None\n")
    user = "user root;" if os.getuid() == 0 else ""
    (nginx / "nginx.conf").write_text(CONF.format(user=user, module=stage.build.module, dir=nginx))
    listen(nginx / "http.sock", serve_http)
    listen(nginx / "frames.sock", serve_frames)


def per_request(stage, way, request):
    """Instructions of a request, by object and function."""
    few = measure(stage, way, request, FEW)
    many = measure(stage, way, request, MANY)
    return {name: (many[name] - few[name]) / (MANY - FEW) for name in many}


def show(way, costs):
    """Prints a line with the objects, and the functions if they are wanted; returns the total."""
    objects = Counter()
    for (where, _), cost in costs.items():
        objects[where] += cost
    total = sum(objects.values())
    parts = ", ".join(f"{where} {cost:,.0f}" for where, cost in objects.most_common(4) if cost >= 1)
    print(f"{way:12}{total:10,.0f}   {parts}", flush=True)
    for (where, name), cost in Counter(costs).most_common(FUNCTIONS):
        print(f"{'':12}{cost:10,.0f}   {where} {name}")
    return total


def main():
    """Counts, and prints a table for each client."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong = []
    with Stage() as stage:
        prepare(stage)
        for client, text in CLIENTS.items():
            request = text.encode()
            print(f"\nInstructions per request of {client}", flush=True)
            proxied = show("proxy_pass", per_request(stage, "proxy_pass", request))
            ours = show("module", per_request(stage, "module", request))
            print(f"{'ratio':12}{ours / proxied:10.3f}")
            if ours > TARGET * proxied:
                wrong.append(f"{client}: {ours / proxied:.2f} x proxy_pass, more than {TARGET}")
    for line in wrong:
        print(f"WRONG: {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
