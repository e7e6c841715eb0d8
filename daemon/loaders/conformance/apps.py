"""The same app in each language: what the cases ask for, by path."""

RUBY = r"""
require 'digest'
APP = lambda do |env|
  plain = { 'content-type' => 'text/plain' }
  case env['PATH_INFO']
  when '/env' then [200, plain, [env.select { |_, v| v.is_a?(String) }.map { |k, v| "#{k}=#{v}" }.join("\n")]]
  when '/echo' then body = env['rack.input'].read; [200, plain, [body]]
  when '/lines' then [200, plain, [env['rack.input'].each.to_a.size.to_s]] rescue [200, plain, [env['rack.input'].read.lines.size.to_s]]
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
        start("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
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
        return [env["wsgi.input"].read()]
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
