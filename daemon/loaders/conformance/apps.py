"""The same app in each language: what the cases ask for, by path."""

RUBY = r"""
require 'digest'
APP = lambda do |env|
  plain = { 'content-type' => 'text/plain' }
  case env['PATH_INFO']
  when '/env' then [200, plain, [env.select { |_, v| v.is_a?(String) }.map { |k, v| "#{k}=#{v}" }.join("\n")]]
  when '/echo' then body = env['rack.input'].read; [200, plain, [body]]
  when '/lines' then count = 0; env['rack.input'].each { count += 1 }; [200, plain, [count.to_s]]
  when '/ignore' then [200, plain, ['ignored']]
  when '/stream' then [200, plain, Enumerator.new { |y| y << 'one'; $stdin.class; sleep(0.001) until File.exist?('go'); y << 'two' }]
  when '/length' then [200, plain.merge('content-length' => '5'), %w[he llo]]
  when '/none' then [204, {}, []]
  when '/fail' then raise 'out of cheese'
  when '/fail-late' then [200, plain, Enumerator.new { |y| y << 'begun'; raise 'out of cheese' }]
  when '/inject' then [200, { 'x-evil' => "a\rb: c" }, ['x']]
  when '/cookies' then [200, { 'set-cookie' => "a=1\nb=2" }, ['x']]
  when '/hijack'
    io = env['rack.hijack'].call
    io.write("HTTP/1.1 200 OK\r\n\r\nraw"); io.close
    [200, {}, []]
  when '/close-count' then [200, plain, [$closed.to_s]]
  when '/closing' then [200, plain, Class.new { def each; yield 'x'; end; def close; $closed += 1; end }.new]
  when '/vars' then [200, plain, [ENV.keys.grep(/FLYING/).join(','), $PROGRAM_NAME]]
  else [404, plain, ['nothing here']]
  end
end
$closed = 0
run APP
"""

PYTHON = r"""
import os, time
closed = 0
class Closing:
    def __iter__(self):
        yield b"x"
    def close(self):
        global closed
        closed += 1
def stream():
    yield b"one"
    while not os.path.exists("go"):
        time.sleep(0.001)
    yield b"two"
def fail_late():
    yield b"begun"
    raise RuntimeError("out of cheese")
def application(env, start):
    plain = [("Content-Type", "text/plain")]
    path = env["PATH_INFO"]
    if path == "/none":
        start("204 No Content", [])
        return []
    if path == "/fail":
        raise RuntimeError("out of cheese")
    if path == "/inject":
        start("200 OK", [("X-Evil", "a\rb: c")])
        return [b"x"]
    if path == "/cookies":
        start("200 OK", plain + [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b"x"]
    if path == "/length":
        start("200 OK", plain + [("Content-Length", "5")])
        return [b"he", b"llo"]
    if path == "/hijack":
        peer = env["passenger.hijack"](True)
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\nraw")
        peer.close()
        return []
    start("200 OK", plain)
    if path == "/env":
        return ["\n".join(f"{k}={v}" for k, v in env.items() if isinstance(v, str)).encode("latin-1")]
    if path == "/echo":
        return [env["wsgi.input"].read(-1)]
    if path == "/lines":
        return [str(len(list(env["wsgi.input"]))).encode()]
    if path == "/stream":
        return stream()
    if path == "/fail-late":
        return fail_late()
    if path == "/close-count":
        return [str(closed).encode()]
    if path == "/closing":
        return Closing()
    if path == "/vars":
        with open("/proc/self/cmdline", "rb") as cmdline:
            title = cmdline.read().split(b"\0")[0]
        return [",".join(k for k in os.environ if "FLYING" in k).encode(), title]
    return [b"ignored"]
"""

ASGI = r"""
import asyncio, os
PLAIN = [(b"content-type", b"text/plain")]
async def read(receive):
    parts, more = [], True
    while more:
        event = await receive()
        parts.append(event["body"])
        more = event["more_body"]
    return b"".join(parts)
async def lifespan(receive, send):
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    async def answer(body, status=200, headers=PLAIN, more=False):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": more})
    async def rest(body, more=False):
        await send({"type": "http.response.body", "body": body, "more_body": more})
    path = scope["path"]
    if path == "/env":
        lines = [b"HTTP_" + k.upper().replace(b"-", b"_") + b"=" + v for k, v in scope["headers"]]
        lines.append(b"url_scheme=" + scope["scheme"].encode())
        return await answer(b"\n".join(lines))
    if path == "/echo":
        return await answer(await read(receive))
    if path == "/lines":
        return await answer(str(len((await read(receive)).splitlines())).encode())
    if path == "/stream":
        await answer(b"one", more=True)
        while not os.path.exists("go"):
            await asyncio.sleep(0.001)
        return await rest(b"two")
    if path in ("/length", "/closing"):
        await answer(b"he", headers=PLAIN + [(b"content-length", b"5")], more=True)
        return await rest(b"llo")
    if path == "/none":
        return await answer(b"", 204, [])
    if path == "/fail":
        raise RuntimeError("out of cheese")
    if path == "/fail-late":
        await answer(b"begun", more=True)
        raise RuntimeError("out of cheese")
    if path == "/inject":
        return await answer(b"x", headers=[(b"x-evil", b"a\rb: c")])
    if path == "/cookies":
        return await answer(b"x", headers=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])
    if path == "/vars":
        with open("/proc/self/cmdline", "rb") as cmdline:
            title = cmdline.read().split(b"\0")[0]
        return await answer(",".join(k for k in os.environ if "FLYING" in k).encode() + title)
    if path == "/watch":
        await answer(b"begun", more=True)
        while (await receive())["type"] != "http.disconnect":
            pass
        open("gone", "w").close()
        return None
    if path == "/scope":
        wanted = {key: scope[key] for key in ("path", "root_path", "method", "client", "server", "http_version")}
        return await answer(repr([wanted, scope["raw_path"], scope["query_string"]]).encode())
    if path == "/silent":
        return None
    await answer(b"ignored")
"""
