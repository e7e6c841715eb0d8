"""One list of cases for every loader: `python3 daemon/loaders/conformance/run.py` prints totals and fails if one did.
Arguments are parts of names, such as `test_bodies` or `Rack2`: only the cases that have one of them are run.
`--native pure` tests the loaders alone, `--native native` with native support, `--native both` both where it is built.

Ruby is run with Debian's Rack and, where it can be fetched, with Rack 3; warnings are on everywhere.
"""

import argparse
import os
import subprocess
import sys
import unittest
from pathlib import Path

import apps
import native
from loader import BODY, END, HEAD, HIJACKED, LOADERS, Loader, parse_head
from native_cases import NativePython
from native_reason_cases import NativeReasons
from node_cases import NodeListen
from node_life_cases import NodeLife
from preloaded import Preloaded, adopt_orphans
from python_cases import CHECKED, VALIDATED, AsgiSpecification, WsgiSpecification
from python_edge_cases import AsgiEdges, WsgiEdges
from python_wire_cases import AsgiWire, WsgiWire
from rack_cases import Bodies, Linted
from websocket_cases import WebSockets

RUBY = ["ruby", "-w", str(LOADERS / "ruby/rack-loader.rb")]
PYTHON = ["/usr/bin/python3", "-W", "error", str(LOADERS / "python/wsgi-loader.py")]


class Cases:
    """What every loader has to do. `quiet` are words that may be on stderr."""

    env = {}
    process = Loader
    ready = "ready\n"
    # With native support: what the loader has to report of it.
    native = None

    def start(self, source, files=None):
        loader = self.process(self.command, self.startup_file, source, self.env, files)
        self.addCleanup(loader.close)
        if self.native and loader.report == self.ready:
            self.assertEqual(loader.native, self.native)
        return loader

    def app(self):
        loader = self.start(self.source)
        self.assertEqual(loader.report, self.ready, loader.log())
        return loader

    def finish(self, loader, log=""):
        """The process ends well and its log holds `log`, or nothing."""
        self.assertEqual(loader.wait(), 0, loader.log())
        if log:
            self.assertIn(log, loader.log())
        else:
            self.assertEqual(loader.log(), "")

    def test_environment_arrives_as_it_was_sent(self):
        loader = self.app()
        status, headers, body, error = loader.connect().ask(path="/env", HTTP_X_ODD="caf\xe9 = \x01", HTTP_EMPTY="")
        self.assertEqual((status.split()[0], error), ("200", None))
        self.assertIn(("content-type", "text/plain"), [(k.lower(), v) for k, v in headers])
        lines = body.decode("latin-1").split("\n")
        self.assertIn("HTTP_X_ODD=caf\xe9 = \x01", lines)
        self.assertIn("HTTP_EMPTY=", lines)
        self.finish(loader)

    def test_https_is_told_to_the_app(self):
        loader = self.app()
        body = loader.connect().ask(path="/env", HTTPS="on")[2].decode("latin-1")
        self.assertIn("url_scheme=https", body)
        self.finish(loader)

    def test_bodies_arrive_whole(self):
        loader = self.app()
        connection = loader.connect()
        for size in (0, 1, 70_000, 1_000_000):
            sent = bytes(n * 7 % 256 for n in range(size))
            self.assertEqual(connection.ask("POST", "/echo", body=sent)[2], sent)
        chunks = [b"a" * 10, b"b" * 100_000, b"c"]
        self.assertEqual(connection.ask("POST", "/echo", chunks=chunks)[2], b"".join(chunks))
        self.assertEqual(connection.ask("POST", "/lines", body=b"1\n2\n3")[2], b"3")
        self.finish(loader)

    def test_a_body_that_is_not_read_does_no_harm(self):
        loader = self.app()
        connection = loader.connect()
        for body in (b"x" * 10, b"x" * 300_000):
            self.assertEqual(connection.ask("POST", "/ignore", body=body)[3], None)
        connection.send("POST", "/ignore", chunks=[b"x" * 5, b"y" * 70_000])
        connection.response()
        self.assertEqual(connection.ask("POST", "/echo", body=b"next")[2], b"next")
        self.finish(loader)

    def test_answers_without_a_body(self):
        loader = self.app()
        connection = loader.connect()
        self.assertEqual(connection.ask("HEAD", "/length")[2], b"")
        self.assertEqual(connection.ask("HEAD", "/closing")[2], b"")
        status, _, body, _ = connection.ask(path="/none")
        self.assertEqual((status.split()[0], body), ("204", b""))
        self.assertEqual(connection.ask(path="/length")[2], b"hello")
        self.finish(loader)

    def test_a_stream_is_sent_while_it_is_made(self):
        loader = self.app()
        connection = loader.connect()
        connection.send(path="/stream")
        self.assertEqual(connection.frame()[0], HEAD)
        self.assertEqual(connection.frame(), (BODY, 0, b"one"))
        Path(loader.dir.name, "go").touch()
        self.assertEqual(connection.response()[2], b"two")
        self.finish(loader)

    def test_an_app_that_fails_is_told_and_serves_on(self):
        loader = self.app()
        connection = loader.connect()
        self.assertIn("out of cheese", connection.ask(path="/fail")[3])
        status, _, body, error = connection.ask(path="/fail-late")
        self.assertEqual((status.split()[0], body), ("200", b"begun"))
        self.assertIn("out of cheese", error)
        self.assertEqual(connection.ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader, log="out of cheese")

    def test_injected_headers_are_refused(self):
        loader = self.app()
        connection = loader.connect()
        self.assertIn("line break", connection.ask(path="/inject")[3])
        self.assertEqual(connection.ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader, log="line break")

    def test_repeated_headers_are_repeated(self):
        loader = self.app()
        headers = loader.connect().ask(path="/cookies")[1]
        self.assertEqual([v for k, v in headers if k.lower() == "set-cookie"], ["a=1", "b=2"])
        self.finish(loader)

    def test_a_hijacked_connection_belongs_to_the_app(self):
        loader = self.app()
        connection = loader.connect()
        connection.send(path="/hijack")
        self.assertEqual(connection.frame(), (HIJACKED, 0, b""))
        self.assertEqual(connection.rest(), b"HTTP/1.1 200 OK\r\n\r\nraw")
        self.assertEqual(loader.connect().ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader)

    def test_bodies_are_closed(self):
        loader = self.app()
        connection = loader.connect()
        connection.ask(path="/closing")
        connection.ask("HEAD", "/closing")
        self.assertEqual(connection.ask(path="/close-count")[2], b"2")
        self.finish(loader)

    def test_a_lost_connection_is_followed_by_another(self):
        loader = self.app()
        connection = loader.connect()
        connection.send(path="/stream")
        self.assertEqual(connection.frame()[0], HEAD)
        connection.socket.close()
        Path(loader.dir.name, "go").touch()
        half = loader.connect()
        self.assertEqual(half.ask("POST", "/echo", body=b"on")[2], b"on")
        half.socket.sendall(b"\x10")
        half.socket.close()
        self.assertEqual(loader.connect().ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader)

    def test_a_request_under_way_is_finished_at_the_end(self):
        loader = self.app()
        connection = loader.connect()
        connection.send(path="/stream")
        self.assertEqual(connection.frame()[0], HEAD)
        self.assertEqual(connection.frame()[2], b"one")
        loader.end()
        Path(loader.dir.name, "go").touch()
        self.assertEqual(connection.response()[2], b"two")
        connection.socket.close()
        self.finish(loader)

    def test_the_daemon_is_not_seen_by_the_app(self):
        loader = self.app()
        body = loader.connect().ask(path="/vars")[2].decode()
        self.assertNotIn("FLYING", body)
        self.assertIn(self.title, body)
        self.finish(loader)

    def test_a_missing_startup_file_is_told(self):
        loader = self.start(None)
        self.assertRegex(loader.report, r"^error the app is missing: ")
        self.assertEqual(loader.wait(), 1)

    def test_a_missing_library_is_told_from_a_missing_app(self):
        loader = self.start(self.missing_library)
        self.assertRegex(loader.report, r"^error something the app needs is missing: .*no_such_library")
        self.assertEqual(loader.wait(), 1)

    def test_a_syntax_error_is_told(self):
        loader = self.start("def (")
        self.assertRegex(loader.report, r"^error the app has a syntax error: ")
        self.assertEqual(loader.wait(), 1)

    def test_a_failure_while_loading_is_told_with_its_backtrace(self):
        loader = self.start(self.failing)
        self.assertRegex(loader.report, r"^error the app failed while it was loaded: .*out of cheese")
        self.assertIn(self.startup_file, loader.report.split("\n", 1)[1])
        self.assertEqual(loader.wait(), 1)


class Rack2(Bodies, Cases, unittest.TestCase):
    """Ruby with Debian 12's Rack."""

    command, startup_file, source, title = RUBY, "config.ru", apps.RUBY, "Passenger RubyApp: conformance (test)"
    missing_library, failing = "require 'no_such_library'", "raise 'out of cheese'"
    rack = "2."

    def test_this_is_the_rack_that_is_meant(self):
        loader = self.start("run ->(_) { [200, {}, [Rack.release]] }")
        self.assertRegex(loader.connect().ask()[2].decode(), "^" + self.rack)
        self.finish(loader)

    def test_out_of_band_work_is_an_event(self):
        work = "PhusionPassenger.on_event(:oob_work) { puts 'works'; raise 'out of cheese' if ENV['FAILS'] }\n"
        loader = self.start(work + apps.RUBY + "\nENV['FAILS'] = '1'")
        connection = loader.connect()
        connection.send("OOBW", out_of_band=True)
        self.assertEqual(connection.frame(), (HEAD, END, b"204"))
        connection.send(path="/ignore")
        self.assertEqual(connection.frame()[0], HEAD)
        self.finish(loader, log="out of cheese")

    def test_a_partial_hijack_goes_on_raw(self):
        source = "run ->(_) { [200, {'rack.hijack' => ->(io) { io.write('raw'); io.close }, 'x-a' => '1'}, []] }"
        loader = self.start(source)
        connection = loader.connect()
        connection.send()
        kind, flags, payload = connection.frame()
        self.assertEqual((kind, flags), (HEAD, 2))
        self.assertEqual(parse_head(payload), ("200", [("x-a", "1")]))
        self.assertEqual(connection.rest(), b"raw")
        self.finish(loader)

    def test_early_hints_come_first(self):
        source = "run ->(env) { env['rack.early_hints'].call('link' => '</a.css>'); [200, {}, ['x']] }"
        loader = self.start(source)
        connection = loader.connect()
        connection.send()
        self.assertEqual(parse_head(connection.frame()[2]), ("103", [("link", "</a.css>")]))
        self.assertEqual(connection.response()[2], b"x")
        self.finish(loader)


class Rack3(Rack2):
    """Ruby with Rack 3."""

    rack = "3."

    def test_a_streaming_body_reads_the_request(self):
        source = "run ->(_) { [200, {}, ->(stream) { stream << stream.read(3).upcase << stream.read; stream.close }] }"
        loader = self.start(source)
        self.assertEqual(loader.connect().ask("POST", body=b"abcdef")[2], b"ABCdef")
        self.finish(loader)

    def test_a_streaming_body_writes_by_itself(self):
        source = "run ->(_) { [200, {}, ->(stream) { stream.write('a'); stream << 'b'; stream.close }] }"
        loader = self.start(source)
        self.assertEqual(loader.connect().ask()[2], b"ab")
        self.finish(loader)

    def test_header_values_may_be_arrays(self):
        loader = self.start("run ->(_) { [200, {'set-cookie' => ['a=1', 'b=2']}, []] }")
        self.assertEqual(loader.connect().ask()[1], [("set-cookie", "a=1"), ("set-cookie", "b=2")])
        self.finish(loader)


class LintedRack2(Linted, Cases, unittest.TestCase):
    """The test app between Rack::Lint and the loader."""

    command, startup_file, source, title = RUBY, "config.ru", apps.RUBY, "Passenger RubyApp: conformance (test)"
    missing_library, failing = "require 'no_such_library'", "raise 'out of cheese'"


class LintedRack3(LintedRack2):
    """Likewise with Rack 3."""


class Wsgi(WsgiSpecification, WsgiEdges, WsgiWire, Cases, unittest.TestCase):
    """Python."""

    command, startup_file, source = PYTHON, "passenger_wsgi.py", apps.PYTHON
    title = "Passenger PythonApp: conformance (test)"
    missing_library, failing = "import no_such_library", "raise RuntimeError('out of cheese')"

    def test_a_startup_file_without_application_is_told(self):
        for text, report in (("shop = 1", r"the startup file .* does not define `application` or `app`"),
                             ("app = 1", r"`app` in .* cannot be called")):
            loader = self.start(text)
            self.assertRegex(loader.report, "^error " + report)
            self.assertEqual(loader.wait(), 1)

    def test_out_of_band_work_is_a_call(self):
        loader = self.start("""
def application(environ, start_response):
    start_response('200 OK', [])
    return [f"{environ['REQUEST_METHOD']} {environ.get('passenger.oob_work')}".encode()]
""")
        connection = loader.connect()
        for out_of_band, reported in ((True, b"OOBW True"), (False, b"OOBW None")):
            connection.send("OOBW", out_of_band=out_of_band)
            self.assertEqual(connection.frame()[0], HEAD)
            self.assertEqual(connection.frame(), (BODY, END, reported))
        self.finish(loader)

    def test_one_piece_gets_its_length(self):
        loader = self.app()
        connection = loader.connect()
        connection.send(path="/ignore")
        headers = parse_head(connection.frame()[2])[1]
        self.assertIn(("Content-Length", "7"), headers)
        self.assertEqual(connection.frame(), (BODY, END, b"ignored"))
        self.finish(loader)


class Asgi(AsgiSpecification, AsgiEdges, AsgiWire, Cases, unittest.TestCase):
    """Python with an event loop."""

    command, startup_file, source = PYTHON, "passenger_wsgi.py", apps.ASGI
    title = "Passenger PythonApp: conformance (test)"
    missing_library, failing = Wsgi.missing_library, Wsgi.failing
    ready = "ready 0\n"
    # There is neither in ASGI.
    test_a_hijacked_connection_belongs_to_the_app = None
    test_bodies_are_closed = None

    def test_a_scope_says_what_the_request_is(self):
        loader = self.app()
        variables = {"SCRIPT_NAME": "/base", "REQUEST_URI": "/base/sc%6fpe?a=b", "QUERY_STRING": "a=b", "REMOTE_ADDR": "192.0.2.7",
                     "REMOTE_PORT": "4711", "SERVER_PORT": "8080"}
        self.assertEqual(loader.connect().ask(path="/scope", **variables)[2], b"ignored", "the base is in the path")
        variables["REQUEST_URI"] = "/sc%6fpe?a=b"
        body = loader.connect().ask(path="/scope", **variables)[2].decode()
        self.assertEqual(body, repr([
            {"path": "/scope", "root_path": "/base", "method": "GET", "client": ("192.0.2.7", 4711),
             "server": ("example.org", 8080), "http_version": "1.1"}, b"/sc%6fpe", b"a=b"]))
        self.finish(loader)

    def test_many_requests_at_a_time(self):
        loader = self.app()
        waiting = [loader.connect() for _ in range(20)]
        for connection in waiting:
            connection.send(path="/stream")
            self.assertEqual(connection.frame()[0], HEAD)
        self.assertEqual(loader.connect().ask("POST", "/echo", body=b"on")[2], b"on")
        Path(loader.dir.name, "go").touch()
        self.assertEqual([connection.response()[2] for connection in waiting], [b"onetwo"] * 20)
        self.finish(loader)

    def test_an_app_hears_that_its_client_has_gone(self):
        loader = self.app()
        connection = loader.connect()
        connection.send(path="/watch")
        self.assertEqual(connection.frame()[0], HEAD)
        connection.socket.close()
        loader.until(lambda: Path(loader.dir.name, "gone").exists())
        self.finish(loader)

    def test_an_app_that_answers_nothing_is_told(self):
        loader = self.app()
        connection = loader.connect()
        self.assertIn("without a complete response", connection.ask(path="/silent")[3])
        self.assertEqual(connection.ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader)

    def test_a_startup_that_fails_is_told(self):
        source = """
async def application(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.failed", "message": "out of cheese"})
"""
        loader = self.start(source)
        self.assertRegex(loader.report, r"^error the app's lifespan startup failed: out of cheese")
        self.assertEqual(loader.wait(), 1)

    def test_a_lifespan_begins_and_ends_and_its_state_is_in_each_scope(self):
        source = """
import sys
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["fruit"] = "pear"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("put away", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["state"]["fruit"].encode()})
"""
        loader = self.start(source)
        self.assertEqual(loader.report, self.ready, loader.log())
        self.assertEqual(loader.connect().ask()[2], b"pear")
        self.finish(loader, log="put away")

    def test_an_app_without_lifespan_does_without(self):
        source = """
async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"plain"})
"""
        loader = self.start(source)
        self.assertEqual(loader.report, self.ready, loader.log())
        self.assertEqual(loader.connect().ask()[2], b"plain")
        self.finish(loader)

    def test_an_app_of_asgi_2_is_refused(self):
        source = """
class application:
    def __init__(self, scope): pass
    async def __call__(self, receive, send): pass
"""
        loader = self.start(source)
        self.assertRegex(loader.report, r"^error `application` is an application of ASGI 2")
        self.assertEqual(loader.wait(), 1)

    def test_the_startup_file_may_say_which_interface_it_is(self):
        wrapped = self.source + "\ninner = application\ndef application(*all): return inner(*all)\npassenger_interface = 'asgi'\n"
        loader = self.start(wrapped)
        self.assertEqual(loader.report, self.ready, loader.log())
        self.assertEqual(loader.connect().ask("POST", "/echo", body=b"on")[2], b"on")
        self.finish(loader)
        odd = self.start(self.source + "\npassenger_interface = 'cgi'\n")
        self.assertRegex(odd.report, r"^error passenger_interface in the startup file is 'cgi'")
        self.assertEqual(odd.wait(), 1)


class WsgiValidated(Wsgi):
    """The same app below Python's own checker of WSGI."""

    source = apps.PYTHON + VALIDATED
    # The checker refuses the header itself.
    test_injected_headers_are_refused = None
    # It makes an iterator of the list.
    test_one_piece_gets_its_length = None


class AsgiChecked(Asgi):
    """The same app below a checker of the specification's events."""

    source = apps.ASGI + CHECKED


class Threads:
    """What a loader with threads does beside all else."""

    env = {"FLYING_PASSENGER_THREADS": "4"}
    ready = "ready 4\n"

    def test_so_many_requests_at_a_time(self):
        loader = self.app()
        waiting = [loader.connect() for _ in range(4)]
        for connection in waiting:
            connection.send(path="/stream")
            self.assertEqual(connection.frame()[0], HEAD)
        Path(loader.dir.name, "go").touch()
        self.assertEqual([connection.response()[2] for connection in waiting], [b"onetwo"] * 4)
        self.finish(loader)

    def test_it_is_told_to_the_app(self):
        loader = self.start(self.multithread)
        self.assertEqual(loader.report, self.ready, loader.log())
        self.assertEqual(loader.connect().ask()[2], b"true")
        self.finish(loader)

    def test_an_app_that_ends_the_process_ends_it(self):
        loader = self.start(self.ends)
        self.assertEqual(loader.report, self.ready, loader.log())
        loader.connect().send()
        self.assertEqual(loader.process.wait(20), 7, loader.log())


class RackThreads(Threads, Rack2):
    """Ruby with threads."""

    # What runs behind the end of a response has no order beside the next request in another thread.
    test_a_body_is_closed_once_whatever_it_is = test_callbacks_run_behind_every_kind_of_response = None
    multithread = "run ->(env) { [200, {}, [env['rack.multithread'].to_s]] }"
    ends = "run ->(_) { exit 7 }"


class WsgiThreads(Threads, Wsgi):
    """Python with threads."""

    multithread = """
def application(env, start):
    start("200 OK", [])
    return [str(env["wsgi.multithread"]).lower().encode()]
"""
    ends = "import sys\ndef application(env, start):\n    sys.exit(7)\n"


class PreloadedRack(Rack2):
    """Ruby, forked from a preloader."""

    process = Preloaded
    command = ["ruby", "-w", str(LOADERS / "ruby/preloader.rb")]

    def test_hooks_run_in_the_process_and_threads_are_told_of(self):
        source = apps.RUBY + "Thread.new { sleep }\n" + """
eval 'Thread.new { sleep }', binding, '/gems/active_record/connection_adapters/pool.rb'
PhusionPassenger.on_event(:starting_worker_process) { |forked| puts "starting #{forked} #{Process.pid}" }
PhusionPassenger.on_event(:stopping_worker_process) { puts "stopping #{Process.pid}" }
at_exit { puts "at exit #{Process.pid}" }
"""
        loader = self.start(source)
        self.assertEqual(loader.report, "ready\n", loader.log())
        self.assertEqual(loader.wait(), 0)
        lines = loader.log().splitlines()
        line = (apps.RUBY + "\n").count("\n")
        self.assertRegex(lines[0], rf"^1 threads were started while the app was loaded \(\S*/config\.ru:{line}\)")
        pid = loader.forked.pid
        mine = [line for line in lines if line.endswith(str(pid))]
        self.assertEqual(mine, [f"starting true {pid}", f"stopping {pid}", f"at exit {pid}"])

    def test_connections_are_closed_before_the_fork(self):
        source = apps.RUBY + """
module ActiveRecord
  def self.version = Gem::Version.new('5.1')
  module Base
    def self.connection_handler = self
    def self.connection_pool_list = [1]
    def self.clear_all_connections! = puts("cleared #{Process.pid}")
    def self.establish_connection = puts("established #{Process.pid}")
  end
end
module Sequel
  DATABASES = [Class.new { def disconnect = raise('it is gone already') }.new].freeze
end
"""
        loader = self.start(source)
        self.assertEqual(loader.report, "ready\n", loader.log())
        self.assertEqual(loader.wait(), 0)
        cleared, sequel, established = loader.log().splitlines()
        self.assertEqual(cleared, f"cleared {loader.process.pid}")
        self.assertIn("the connections of Sequel could not be closed around a fork: RuntimeError", sequel)
        self.assertEqual(established, f"established {loader.forked.pid}")

    def test_connections_of_every_role_are_closed_before_the_fork(self):
        pools = "def self.all_connection_pools = [Class.new { def disconnect! = puts('every role') }.new]"
        handler = "def self.clear_all_connections!(role = :writing) = puts(role == :all ? 'every role' : role)"
        for version, known in (("6.1", pools + "\n" + handler), ("7.0", pools + "\n" + handler), ("7.1", handler)):
            with self.subTest(version):
                loader = self.start(apps.RUBY + f"""
module ActiveRecord
  def self.version = Gem::Version.new('{version}')
  module Base
    def self.connection_handler = self
    {known}
  end
end
""")
                self.assertEqual(loader.report, "ready\n", loader.log())
                self.assertEqual(loader.wait(), 0)
                self.assertEqual(loader.log(), "every role\n")


class PreloadedWsgi(Wsgi):
    """Python, forked from a preloader."""

    process = Preloaded
    command = ["/usr/bin/python3", "-W", "error", str(LOADERS / "python/preloader.py")]

    def test_hooks_run_in_the_process_and_threads_are_told_of(self):
        source = apps.PYTHON + """
import atexit, flying_passenger, threading
def tell(*words):
    # In one write: the preloader ends at the same time, and writes to the same log.
    os.write(1, (" ".join(map(str, (*words, os.getpid()))) + "\\n").encode())
flying_passenger.on_event("starting_worker_process")(lambda forked: tell("starting", forked))
flying_passenger.on_event("stopping_worker_process")(lambda: tell("stopping"))
atexit.register(lambda: tell("at exit"))
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
"""
        loader = self.start(source)
        self.assertEqual(loader.report, "ready\n", loader.log())
        self.assertEqual(loader.wait(), 0, loader.log())
        lines = loader.log().splitlines()
        pid = loader.forked.pid
        self.assertTrue(any("1 threads were started while the app was loaded" in line for line in lines), lines)
        mine = [line for line in lines if line.endswith(str(pid))]
        self.assertEqual(mine, [f"starting True {pid}", f"stopping {pid}", f"at exit {pid}"])

    def test_connections_are_closed_before_the_fork(self):
        source = apps.PYTHON + """
import sys, types
class Connections:
    def close_all(self):
        print("closed", os.getpid())
sys.modules["django.db"] = types.SimpleNamespace(connections=Connections())
"""
        loader = self.start(source)
        self.assertEqual(loader.report, "ready\n", loader.log())
        self.assertEqual(loader.wait(), 0, loader.log())
        self.assertEqual(loader.log(), f"closed {loader.process.pid}\n")


class PreloadedAsgi(Asgi):
    """Python with an event loop, forked from a preloader."""

    process = Preloaded
    command = PreloadedWsgi.command


def fetch_rack3():
    """The library path of Rack 3; None where it cannot be had."""
    target = LOADERS.parent.parent / "target/rack3"
    fetched = subprocess.run(
        [str(LOADERS / "conformance/fetch-rack3.sh"), str(target)], stdout=subprocess.PIPE, text=True, check=False
    )
    return fetched.stdout.strip() if fetched.returncode == 0 else None


def named(case, names):
    """The tests of a class, those that are wanted by name."""
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return [test for test in tests if not names or any(name in test.id() for name in names)]


def main():
    """Runs everything; the last line is the total."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--native", choices=["pure", "native", "both"], default="both")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    names = arguments.names
    adopt_orphans()
    suites = [Rack2, LintedRack2, RackThreads, Wsgi, WsgiThreads, WsgiValidated, Asgi, AsgiChecked, WebSockets]
    suites += [PreloadedRack, PreloadedWsgi, PreloadedAsgi, NodeListen, NodeLife]
    rack3 = fetch_rack3()
    if rack3 is not None:
        Rack3.env = LintedRack3.env = {"RUBYLIB": rack3 + os.pathsep + os.environ.get("RUBYLIB", "")}
        suites[1:1] = [Rack3, LintedRack3]
    suites = native.variants(suites, arguments.native)
    if arguments.native != "pure":
        suites.append(NativePython)
        suites.append(native.NativeDifference)
        suites.append(NativeReasons)
    suite = unittest.TestSuite(test for case in suites for test in named(case, names))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed = len(result.failures) + len(result.errors)
    without = [] if rack3 else [Rack3, LintedRack3]
    skipped = len(result.skipped) + sum(len(named(case, names)) for case in without)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
