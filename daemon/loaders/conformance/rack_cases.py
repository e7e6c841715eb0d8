"""What Rack's specification says of bodies, input and callbacks, and where the loader is more lenient than it."""

import socket
import struct

from loader import BODY, END, HEAD, HIJACKED

# An app whose bodies count how often they are closed. `/count/KIND` answers with the body, `/counted` with the count.
CLOSING = r"""
require 'rack/body_proxy'
$closed = 0
class Body
  def initialize(*parts) = @parts = parts
  def close = $closed += 1
end
class Each < Body
  def each(&block) = @parts.each(&block)
end
class Fails < Each
  def each
    yield 'begun'
    raise 'out of cheese'
  end
end
class ClosesItself < Each
  def to_ary
    close
    @parts.dup
  end
end
class File1 < Each
  def to_path = __FILE__
end
class NilArray < Each
  def to_ary = nil
end
class Both < Each
  def call(stream) = stream.write('called')
end
run(lambda do |env|
  case env['PATH_INFO']
  when '/counted'
    count, $closed = $closed, 0
    next [200, {}, [count.to_s]]
  when '/count/each' then body = Each.new('a', 'b')
  when '/count/fails' then body = Fails.new
  when '/count/closes-itself' then body = ClosesItself.new('a', 'b')
  when '/count/file' then body = File1.new('a')
  when '/count/nil-array' then body = NilArray.new('a', 'b')
  when '/count/both' then body = Both.new('a', 'b')
  when '/count/proxy' then body = Rack::BodyProxy.new(['a', 'b']) { $closed += 1 }
  when '/count/proxy-each' then body = Rack::BodyProxy.new(Each.new('a', 'b')) {}
  when '/count/bad-head' then next [200, { 'x' => "a\rb" }, Each.new('a')]
  when '/count/partial' then next [200, { 'rack.hijack' => ->(io) { io.close } }, Each.new('a')]
  when '/count/full'
    env['rack.hijack'].call.close
    body = Each.new('a')
  end
  [200, {}, body]
end)
"""

INPUT = r"""
run(lambda do |env|
  input = env['rack.input']
  parts = case env['PATH_INFO']
          when '/gets' then Enumerator.new { |y| while (line = input.gets) do y << line end }
          when '/each' then Enumerator.new { |y| input.each { |line| y << line } }
          when '/read' then Enumerator.new { |y| while (part = input.read(4)) do y << part end }
          when '/lines' then [input.each.to_a.size.to_s]
          when '/odd' then [[input.gets('b', 100), input.gets(2), input.gets(chomp: true), input.gets(nil), input.gets].inspect]
          when '/again' then [input.gets, input.rewind.to_s, input.read, input.read(1).inspect]
          end
  [200, {}, parts]
end)
"""


class Linted:
    """Every case of the other apps, with Rack::Lint between app and loader."""

    # What these do is not allowed by Rack: Lint ends it before the loader sees it.
    test_injected_headers_are_refused = None
    test_repeated_headers_are_repeated = None

    def start(self, source, files=None):
        """With Lint around it."""
        return super().start(source and "require 'rack/lint'\nuse Rack::Lint\n" + source, files)


class Bodies:
    """What Ruby's loader does beside what every loader does."""

    def count(self, loader, method, kind):
        """What the body of this kind was, and how often it was closed."""
        connection = loader.connect()
        connection.send(method, "/count/" + kind)
        if kind == "full":
            self.assertEqual(connection.frame()[0], HIJACKED)
            body = connection.rest()
        elif kind == "partial":
            self.assertEqual(connection.frame()[:2], (HEAD, 2))
            body = connection.rest()
        else:
            body = connection.response()[2]
        connection.socket.close()
        return body, self.once(loader, "/counted")

    def once(self, loader, path):
        """The body of one response, on a separate connection: a process has one thread."""
        connection = loader.connect()
        body = connection.ask(path=path)[2]
        connection.socket.close()
        return body

    def test_a_body_is_closed_once_whatever_it_is(self):
        loader = self.start(CLOSING)
        bodies = {"each": b"ab", "closes-itself": b"ab", "nil-array": b"ab", "both": b"ab", "proxy": b"ab", "full": b"",
                  "proxy-each": b"ab", "fails": b"begun", "bad-head": b"", "partial": b""}
        for kind, expected in bodies.items():
            with self.subTest(kind):
                self.assertEqual(self.count(loader, "GET", kind), (expected, b"1"))
                if kind not in ("fails", "full", "partial"):
                    self.assertEqual(self.count(loader, "HEAD", kind), (b"", b"1"))
        body, closed = self.count(loader, "GET", "file")
        self.assertEqual((body[:8], closed), (b"\nrequire", b"1"))
        self.finish(loader, log="out of cheese")

    def test_parts_may_have_any_encoding(self):
        parts = r"['h\u00e9', 'h\u00e9'.encode('UTF-16LE'), 'h\u00e9'.encode('ISO-8859-1'), \"\xff\".b, :sym, 7].freeze"
        sent = "h\u00e9".encode() + "h\u00e9".encode("utf-16-le") + b"h\xe9\xffsym7"
        parts = parts.replace("'h\\u00e9'", '"h\\u00e9"').replace('\\"', '"')
        for body in (parts, parts + ".each"):
            loader = self.start(f"run ->(_) {{ [200, {{}}, {body}] }}")
            self.assertEqual(loader.connect().ask()[2], sent)
            self.finish(loader)

    def test_lines_are_read_as_they_come(self):
        loader = self.start(INPUT)
        for path in ("/gets", "/each", "/read"):
            connection = loader.connect()
            self.send_chunked_head(connection, path)
            for part in (b"one\n", b"two\n"):
                connection.socket.sendall(struct.pack("<I", len(part)) + part)
                if part == b"one\n":
                    self.assertEqual(connection.frame()[0], HEAD)
                self.assertEqual(connection.frame(), (BODY, 0, part))
            connection.socket.sendall(struct.pack("<I", 0))
            self.assertEqual(connection.response()[2], b"")
            connection.socket.close()
        loader.wait()

    def send_chunked_head(self, connection, path):
        """A request whose body comes in chunks that the test sends itself."""
        pairs = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "",
                 "SERVER_NAME": "example.org", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1"}
        block = "\0".join(part for pair in pairs.items() for part in pair).encode()
        connection.socket.sendall(struct.pack("<IB3xQ", len(block), 2, 0) + block)

    def test_gets_takes_the_arguments_that_an_io_takes(self):
        loader = self.start(INPUT)
        connection = loader.connect()
        body = connection.ask("POST", "/odd", body=b"aab12line\nrest\nmore")[2]
        self.assertEqual(body, b'["aab", "12", "line", "rest\\nmore", nil]')
        self.assertEqual(connection.ask("POST", "/again", body=b"a\nb")[2], b"a\n0a\nbnil")
        big = b"x" * 300_000 + b"\n" + b"y" * 10
        self.assertEqual(connection.ask("POST", "/gets", body=big)[2], big)
        lines = b"".join(b"%d\n" % n for n in range(40_000))
        self.assertEqual(connection.ask("POST", "/lines", body=lines)[2], b"40000")
        self.finish(loader)

    def test_header_values_that_are_no_strings_are_sent_and_told_of_once(self):
        loader = self.start("run ->(_) { ['200', { 'x-n' => 7, 'x-s' => :sym, 'x-nil' => nil, 'Content-length' => 1 }, ['x']] }")
        connection = loader.connect()
        for _ in range(2):
            status, headers, body, error = connection.ask()
            self.assertEqual((status, body, error), ("200", b"x", None))
            self.assertEqual(headers, [("x-n", "7"), ("x-s", "sym"), ("Content-length", "1")])
        self.assertEqual(loader.wait(), 0)
        self.assertEqual(loader.log().count("which Rack does not allow"), 1, loader.log())

    def test_callbacks_run_behind_every_kind_of_response(self):
        source = r"""
$ran = []
run(lambda do |env|
  next [200, {}, [$ran.slice!(0..).join(' ')]] if env['PATH_INFO'] == '/ran'
  env['rack.response_finished'] << ->(_, status, _, error) { $ran << "first:#{status}:#{error.class}" }
  env['rack.response_finished'] << ->(*) { raise 'not mine' }
  env['rack.after_reply'] << -> { $ran << 'after' }
  raise 'out of cheese' if env['PATH_INFO'] == '/fails'
  env['rack.hijack'].call.close if env['PATH_INFO'] == '/full'
  [200, {}, ['x']]
end)
"""
        loader = self.start(source)
        served = b"first:200:NilClass after"
        for path, ran in (("/", served), ("/fails", b"first::RuntimeError after"), ("/full", served)):
            connection = loader.connect()
            connection.send(path=path)
            if path == "/full":
                self.assertEqual(connection.frame()[0], HIJACKED)
            else:
                connection.response()
            connection.socket.close()
            self.assertEqual(self.once(loader, "/ran"), ran)
        self.finish(loader, log="rack.response_finished: ")

    def test_a_connection_that_is_closed_before_it_was_taken_does_no_harm(self):
        loader = self.app()
        busy = loader.connect()
        busy.send(path="/stream")
        self.assertEqual(busy.frame()[0], HEAD)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(loader.path)
        busy.socket.close()
        open(loader.dir.name + "/go", "w", encoding="ascii").close()
        self.assertEqual(loader.connect().ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader)

    def test_a_partial_hijack_that_fails_ends_the_connection(self):
        loader = self.start("run ->(_) { [200, { 'rack.hijack' => ->(_) { raise 'out of cheese' } }, []] }")
        connection = loader.connect()
        connection.send()
        self.assertEqual(connection.frame(), (HEAD, 2, b"200"))
        self.assertEqual(connection.rest(), b"")
        self.finish(loader, log="out of cheese")

    def test_an_app_may_close_its_standard_input(self):
        for how in ("$stdin.reopen('/dev/null')", "$stdin = StringIO.new"):
            loader = self.start(f"require 'stringio'\n{how}\nrun ->(_) {{ [200, {{}}, ['x']] }}")
            self.assertEqual(loader.report, self.ready, loader.log())
            self.assertEqual(loader.connect().ask()[2], b"x")
            self.finish(loader)

    def test_the_loader_loads_no_gem_before_bundler(self):
        # The app's own set-up comes when Bundler does.
        loader = self.start("run ->(_) { [200, {}, [$first.to_s]] }", {"config/setup_load_paths.rb": """
of_ruby = `ruby -e 'puts Gem.loaded_specs.keys'`.split
$first = [Gem.loaded_specs.keys - of_ruby, ENV.keys.grep(/FLYING/), defined?(StringIO)]
"""})
        self.assertEqual(loader.connect().ask()[2], b"[[], [], nil]")
        self.finish(loader)

    def test_garbage_is_collected_out_of_band(self):
        loader = self.start("""
PhusionPassenger.require_passenger_lib 'rack/out_of_band_gc'
use PhusionPassenger::Rack::OutOfBandGc, 2
run ->(env) { [200, {}.freeze, [GC.count.to_s]] }
""")
        connection = loader.connect()
        asked = [connection.ask()[1] for _ in range(4)]
        self.assertEqual(asked, [[], [("!~Request-OOB-Work", "true")]] * 2)
        before = int(connection.ask()[2])
        connection.send("OOBW", out_of_band=True)
        self.assertEqual(connection.frame(), (HEAD, END, b"204"))
        self.assertGreater(int(connection.ask()[2]), before)
        self.finish(loader)

    def test_each_thread_is_told_of_to_the_app(self):
        loader = self.start("""
PhusionPassenger.on_event(:starting_request_handler_thread) { ($threads ||= Queue.new) << Thread.current }
run ->(_) { [200, {}, [$threads.size.to_s]] }
""")
        threads = int(self.env.get("FLYING_PASSENGER_THREADS", 1))
        loader.until(lambda: self.once(loader, "/") == b"%d" % threads)
        self.finish(loader)

    def test_the_version_of_http_is_told_twice(self):
        loader = self.start("""
require 'rack/lint'
use Rack::Lint
run ->(env) { [200, { 'content-type' => 'a/b' }, [env.values_at('HTTP_VERSION', 'SERVER_PROTOCOL').uniq.to_s]] }
""")
        self.assertEqual(loader.connect().ask(SERVER_PROTOCOL="HTTP/2.0")[2:], (b'["HTTP/2.0"]', None))
        self.finish(loader)

    def test_a_body_of_one_part_is_one_write(self):
        loader = self.start("run ->(_) { [200, {}, ['x']] }")
        connection = loader.connect()
        connection.send()
        self.assertEqual([connection.frame()[0], connection.frame()], [HEAD, (BODY, END, b"x")])
        self.finish(loader)
