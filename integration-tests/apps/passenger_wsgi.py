"""The standard app in Python. README.md lists its routes."""

import hashlib
import json
import os
import time

SCRATCH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "scratch")


def sign(name, text=""):
    temporary = os.path.join(SCRATCH, "%s.new%d" % (name, os.getpid()))
    with open(temporary, "w", encoding="latin-1") as out:
        out.write(str(text))
    os.rename(temporary, os.path.join(SCRATCH, name))


def wait_at_gate(name):
    sign(name + ".arrived", os.getpid())
    for _ in range(6000):
        if os.path.exists(os.path.join(SCRATCH, name + ".go")):
            return
        time.sleep(0.005)
    raise RuntimeError("nobody opened the gate " + name)


def hash_of(stream):
    sha, length = hashlib.sha256(), 0
    while part := stream.read(65536):
        sha.update(part)
        length += len(part)
    return "%s %d" % (sha.hexdigest(), length)


def gated(first, second, name):
    yield first
    wait_at_gate(name)
    yield second


def endless(name):
    sign(name + ".arrived", os.getpid())
    try:
        while True:
            yield b"x" * 65536
    finally:
        sign(name + ".closed")


def application(env, start_response):
    query = dict(pair.split("=", 1) for pair in env["QUERY_STRING"].split("&") if "=" in pair)
    path = env["PATH_INFO"]
    stream = env["wsgi.input"]

    def text(body, *headers, kind="text/plain"):
        body = body if isinstance(body, bytes) else body.encode()
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
        return [body]

    def start(status, *headers):
        start_response(status, list(headers))

    if path == "/":
        return text("hello from python\n")
    if path == "/pid":
        return text(str(os.getpid()))
    if path == "/uid":
        return text("%d %d %s %s" % (os.getuid(), os.getgid(), os.environ.get("USER"), os.environ.get("HOME")))
    if path == "/env":
        return text(json.dumps({k: v for k, v in env.items() if isinstance(v, str) and not k.startswith("wsgi.")}))
    if path == "/environ":
        return text(os.environ.get(query["name"], "(unset)"))
    if path == "/echo":
        return text(stream.read(), kind=env.get("CONTENT_TYPE", "text/plain"))
    if path == "/hash":
        return text(hash_of(stream))
    if path == "/first":
        sign("first", stream.read(5).decode())
        return text("then " + hash_of(stream).split()[1])
    if path == "/stream":
        start("200 OK", ("Content-Type", "text/plain"))
        return gated(b"first\n", b"second\n", query["name"])
    if path == "/sse":
        start("200 OK", ("Content-Type", "text/event-stream"))
        return gated(b"data: 1\n\n", b"data: 2\n\n", query["name"])
    if path == "/wait":
        wait_at_gate(query["name"])
        return text(str(os.getpid()))
    if path == "/download":
        size = int(query["mb"])
        start("200 OK", ("Content-Type", "application/octet-stream"), ("Content-Length", str(size << 20)))
        part = b"x" * 65536
        return (part for _ in range(size * 16))
    if path == "/endless":
        start("200 OK", ("Content-Type", "text/plain"))
        return endless(query["name"])
    if path == "/status":
        start(query["code"] + " As Asked")
        return []
    if path == "/cookies":
        return text("cookies", ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/"))
    if path == "/header":
        return text("big", ("X-Big", "b" * int(query["bytes"])))
    if path == "/inject":
        return text("bad", ("X-Bad", "a\r\nX-Injected: yes"))
    if path == "/short":
        start("200 OK", ("Content-Length", "100"))
        return iter([b"only this"])
    if path == "/boom":
        raise RuntimeError("deliberate mistake")
    if path == "/exit":
        os._exit(3)
    if path == "/accel":
        return text("hidden", ("X-Accel-Redirect", "/internal/secret.txt"))
    start("404 Not Found", ("Content-Type", "text/plain"))
    return [("no route " + path).encode()]
