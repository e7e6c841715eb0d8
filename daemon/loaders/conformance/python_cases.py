"""What PEP 3333 and ASGI 3 specify, beside what every loader does: cases for the Python loader."""

import gzip
import os
import struct
import time
from pathlib import Path

from loader import BODY, HEAD, HIJACKED, INTERIM, parse_head

VALIDATED = """
from wsgiref.validate import validator
application = validator(application)
"""

# Checks each scope, each event that the server gives, and each that the app sends, against the specification.
CHECKED = r"""
checked_app = application
SCOPES = {
    "http": {"method": str, "http_version": str, "raw_path": bytes},
    "websocket": {"http_version": str, "raw_path": bytes, "subprotocols": list},
}
COMMON = {"asgi": dict, "scheme": str, "path": str, "query_string": bytes, "root_path": str, "headers": list,
          "client": tuple, "server": tuple, "state": dict, "extensions": dict}

def check_scope(scope):
    for key, kind in {**COMMON, **SCOPES[scope["type"]]}.items():
        assert type(scope[key]) is kind, f"scope[{key!r}] is {scope[key]!r}"
    assert scope["asgi"]["version"] == "3.0" and scope["http_version"] in ("1.0", "1.1", "2", "3")
    assert scope["scheme"] in ("http", "https", "ws", "wss")
    assert all(type(n) is bytes and type(v) is bytes and n == n.lower() for n, v in scope["headers"])
    for name in ("client", "server"):
        host, port = scope[name]
        assert type(host) is str and type(port) is int
    assert all(type(content) is dict for content in scope["extensions"].values())

class Checker:
    def __init__(self, scope, receive, send):
        self.receive_from, self.send_to = receive, send
        self.body_complete = self.disconnected = self.started = self.complete = False

    async def receive(self):
        event = await self.receive_from()
        if event["type"] == "http.request":
            assert not self.body_complete and not self.disconnected, "the body has ended"
            assert type(event["body"]) is bytes and type(event["more_body"]) is bool
            assert event["body"] or not event["more_body"], "an empty part that is not the last"
            self.body_complete = not event["more_body"]
        else:
            assert event == {"type": "http.disconnect"}, event
            self.disconnected = True
        return event

    async def send(self, event):
        kind = event["type"]
        if kind == "http.response.start":
            assert not self.started and type(event["status"]) is int
            self.started = True
        else:
            assert kind == "http.response.body" and self.started and not self.complete, kind
            self.complete = not event.get("more_body", False)
        await self.send_to(event)

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        assert set(scope) == {"type", "asgi", "state"}
        return await checked_app(scope, receive, send)
    check_scope(scope)
    checker = Checker(scope, receive, send)
    return await checked_app(scope, checker.receive, checker.send)
"""


def wsgi(*lines, before=""):
    """A WSGI app: the lines of its function, after `start` and `plain`."""
    body = "\n    ".join(("plain = [('Content-Type', 'text/plain')]", *lines))
    return f"import os, sys\n{before}\ndef application(env, start):\n    {body}\n"


class WsgiSpecification:
    """PEP 3333, and where Passenger is lenient."""

    def answers(self, source, *arguments, log="", **variables):
        """The response of an app to one request; its process ends well."""
        loader = self.start(source)
        self.assertEqual(loader.report, self.ready, loader.log())
        response = loader.connect().ask(*arguments, **variables)
        self.finish(loader, log)
        return response

    def test_the_path_is_decoded_as_pep_3333_has_it(self):
        source = wsgi("start('200 OK', plain)", "return [repr((env['SCRIPT_NAME'], env['PATH_INFO'])).encode()]")
        for base, path, reported in (
            ("", "/a%20b/caf%C3%A9", ("", "/a b/caf\xc3\xa9")),
            ("", "/a%2Fb%25", ("", "/a/b%")),
            ("", "/100%/%zz", ("", "/100%/%zz")),
            ("/base", "/a%20b", ("/base", "/a b")),
        ):
            body = self.answers(source, path=path, SCRIPT_NAME=base, REQUEST_URI=base + path)[2]
            self.assertEqual(body.decode(), repr(reported))

    def test_a_base_uri_that_the_client_encodes_is_removed(self):
        source = wsgi("start('200 OK', plain)", "return [repr((env['SCRIPT_NAME'], env['PATH_INFO'])).encode()]")
        variables = {"SCRIPT_NAME": "/my shop", "REQUEST_URI": "/my%20shop/a%20b?c"}
        self.assertEqual(self.answers(source, path="/my%20shop/a%20b", **variables)[2].decode(), repr(("/my shop", "/a b")))

    def test_a_setting_keeps_the_path_encoded(self):
        self.env = {**self.env, "FLYING_PASSENGER_ENCODED_PATH": "1"}
        source = wsgi("start('200 OK', plain)", "return [(env['PATH_INFO'] + str(sorted(os.environ))).encode()]")
        body = self.answers(source, path="/a%20b%2F")[2].decode()
        self.assertTrue(body.startswith("/a%20b%2F["), body)
        self.assertNotIn("FLYING", body)

    def test_what_passenger_accepts_is_accepted_with_one_warning(self):
        source = wsgi("start('200 OK', plain + [('X-Number', 7), ('X-Other', 8)])", "return ['caf\xe9', 'x']")
        loader = self.start(source)
        connection = loader.connect()
        for _ in range(3):
            _, headers, body, error = connection.ask()
            self.assertEqual((body, error), ("caf\xe9x".encode(), None))
            self.assertEqual(dict(headers)["X-Number"], "7")
        self.assertEqual(loader.wait(), 0, loader.log())
        lines = loader.log().splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("header that is int", lines[0])
        self.assertIn("encoded as UTF-8", lines[1])

    def test_a_line_of_the_body_is_returned_once_it_has_arrived(self):
        source = wsgi("start('200 OK', plain)", "def lines():", "    for line in env['wsgi.input']:", "        yield line",
                      "return lines()")
        loader = self.start(source)
        connection = loader.connect()

        def chunk(data):
            return struct.pack("<I", len(data)) + data

        connection.send("POST", "/", chunks=[b"x"])
        block_sent = connection.response()[2]
        self.assertEqual(block_sent, b"x")
        env = b"REQUEST_METHOD\0POST\0PATH_INFO\0/\0QUERY_STRING\0\0SCRIPT_NAME\0\0REQUEST_URI\0/"
        connection.socket.sendall(struct.pack("<IB3xQ", len(env), 2, 0) + env + chunk(b"one\ntw"))
        self.assertEqual(connection.frame()[0], HEAD)
        self.assertEqual(connection.frame()[2], b"one\n")
        connection.socket.sendall(chunk(b"o\nthree"))
        self.assertEqual(connection.frame()[2], b"two\n")
        connection.socket.sendall(chunk(b""))
        self.assertEqual(connection.response()[2], b"three")
        self.finish(loader)

    def test_the_input_is_a_file_object(self):
        source = wsgi("import io", "input = env['wsgi.input']", "got = [input.readline(2), input.readline(), input.read(3)]",
                      "got += input.readlines()", "got += [input.read(), input.read(5), input.readline(), input.readlines()]",
                      "start('200 OK', plain)", "return [repr(got).encode()]")
        body = self.answers(source, "POST", body=b"abc\ndefg\nhi")[2].decode()
        self.assertEqual(body, repr([b"ab", b"c\n", b"def", b"g\n", b"hi", b"", b"", b"", []]))
        wrapped = wsgi("import io", "text = io.TextIOWrapper(env['wsgi.input'], 'utf-8').read()", "start('200 OK', plain)",
                       "return [text.encode()]")
        for kind in ({"body": b"caf\xc3\xa9"}, {"chunks": [b"caf\xc3", b"\xa9"]}):
            self.assertEqual(self.answers(wrapped, "POST", **kind)[2], b"caf\xc3\xa9")

    def test_nothing_is_left_in_the_input_of_a_request_without_a_body(self):
        source = wsgi("import io", "input = env['wsgi.input']", "got = [input.read()]", "try: input.write(b'left')",
                      "except io.UnsupportedOperation: got += ['refused']", "input.seek(0)", "got += [input.read()]",
                      "start('200 OK', plain)", "return [repr(got).encode()]")
        self.assertEqual(self.answers(source)[2].decode(), repr([b"", "refused", b""]))

    def test_many_short_lines_take_little_time(self):
        source = wsgi("number = sum(1 for _ in env['wsgi.input'])", "start('200 OK', plain)", "return [str(number).encode()]")
        began = time.monotonic()
        self.assertEqual(self.answers(source, "POST", body=b"\n" * 4_000_000)[2], b"4000000")
        # Quadratic in what is read ahead, this takes minutes.
        self.assertLess(time.monotonic() - began, 15)

    def test_a_file_is_sent_with_its_length_and_closed(self):
        source = wsgi("file = open('data', 'rb')", "file.seek(7)", "files.append(file)", "start('200 OK', plain)",
                      "if env['PATH_INFO'] == '/closed': return [repr([f.closed for f in files]).encode()]",
                      "return env['wsgi.file_wrapper'](file)", before="files = []\nopen('data', 'wb').write(b'x' * 500_007)")
        loader = self.start(source)
        connection = loader.connect()
        _, headers, body, _ = connection.ask()
        self.assertEqual((len(body), dict(headers)["Content-Length"]), (500_000, "500000"))
        _, headers, body, _ = connection.ask("HEAD")
        self.assertEqual((body, dict(headers)["Content-Length"]), (b"", "500000"))
        self.assertEqual(connection.ask(path="/closed")[2], b"[True, True, False]")
        loader.wait()

    def test_a_file_wrapper_sends_what_the_content_length_says(self):
        source = wsgi("import io", "start('200 OK', plain + [('Content-Length', '5')])",
                      "return env['wsgi.file_wrapper'](io.BytesIO(b'hello world'), 4)")
        self.assertEqual(self.answers(source)[2:], (b"hello", None))
        odd = wsgi("import io, gzip", "start('200 OK', plain)",
                   "return env['wsgi.file_wrapper'](gzip.open('data.gz'))")
        loader = self.start(odd)
        Path(loader.dir.name, "data.gz").write_bytes(gzip.compress(b"unpacked " * 1000))
        self.assertEqual(loader.connect().ask()[2], b"unpacked " * 1000)
        self.finish(loader)

    def test_early_hints_come_first(self):
        source = wsgi("hints = env['wsgi.early_hints']", "hints([('Link', '</a.css>')])", "start('200 OK', plain)",
                      "def body():", "    yield b'x'", "    hints([('Link', '</late.css>')])", "return body()")
        loader = self.start(source)
        connection = loader.connect()
        connection.send()
        kind, flags, payload = connection.frame()
        self.assertEqual((kind, flags), (INTERIM, 0))
        self.assertEqual(parse_head(payload), ("103 Early Hints", [("Link", "</a.css>")]))
        self.assertEqual(connection.response()[2:], (b"x", None))
        self.finish(loader)

    def test_early_hints_with_a_line_break_are_refused(self):
        source = wsgi("env['wsgi.early_hints']([('Link', 'a\\r\\nb: c')])")
        self.assertIn("line break", self.answers(source, log="line break")[3])

    def test_a_second_start_response_replaces_the_first(self):
        source = wsgi("start('200 OK', plain)", "try:", "    raise ValueError", "except ValueError:",
                      "    start('500 Oops', plain, sys.exc_info())", "return [b'sorry']")
        status, _, body, _ = self.answers(source)
        self.assertEqual((status, body), ("500 Oops", b"sorry"))

    def test_a_second_start_response_after_the_head_raises(self):
        source = wsgi("write = start('200 OK', plain)", "write(b'begun')", "try:", "    raise ValueError('out of cheese')",
                      "except ValueError:", "    start('500 Oops', plain, sys.exc_info())", "return [b'sorry']")
        status, _, body, error = self.answers(source, log="out of cheese")
        self.assertEqual((status, body), ("200 OK", b"begun"))
        self.assertIn("out of cheese", error)

    def test_write_and_a_body_go_together(self):
        source = wsgi("write = start('200 OK', plain + [('Content-Length', '11')])", "write(b'hello')", "write(b' ')",
                      "return [b'world']")
        self.assertEqual(self.answers(source)[2:], (b"hello world", None))

    def test_no_more_is_sent_than_the_content_length_says(self):
        source = wsgi("start('200 OK', plain + [('Content-Length', '5')])", "def body():", "    yield b'hel'", "    yield b'lo wo'",
                      "    raise AssertionError('asked for more')", "return body()")
        self.assertEqual(self.answers(source)[2:], (b"hello", None))
        whole = wsgi("start('200 OK', plain + [('Content-Length', '5')])", "return [b'hello world']")
        self.assertEqual(self.answers(whole)[2:], (b"hello", None))
        written = wsgi("write = start('200 OK', plain + [('Content-Length', '5')])", "write(b'hello world')", "return []")
        self.assertIn("more bytes than the Content-Length", self.answers(written, log="Content-Length")[3])

    def test_a_body_is_closed_once_when_it_fails(self):
        source = wsgi("start('200 OK', plain)", "if env['PATH_INFO'] == '/count': return [str(closed).encode()]", "return Failing()",
                      before="""
closed = 0
class Failing:
    def __iter__(self):
        yield b'begun'
        raise RuntimeError('out of cheese')
    def close(self):
        global closed
        closed += 1
""")
        loader = self.start(source)
        connection = loader.connect()
        self.assertIn("out of cheese", connection.ask()[3])
        self.assertEqual(connection.ask(path="/count")[2], b"1")
        self.finish(loader, log="out of cheese")

    def test_the_socket_is_taken_when_it_is_first_used(self):
        for key in ("werkzeug.socket", "gunicorn.socket"):
            source = wsgi(f"peer = env['{key}']", "str(peer), hasattr(peer, 'resolve'), peer.family", "start('200 OK', plain)",
                          "if env['PATH_INFO'] == '/plain': return [b'not taken']",
                          "got = peer.recv(4)", "peer.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n' + got)", "raise StopIteration()")
            loader = self.start(source)
            connection = loader.connect()
            self.assertEqual(connection.ask(path="/plain")[2], b"not taken")
            connection.send()
            self.assertEqual(connection.frame(), (HIJACKED, 0, b""))
            connection.socket.sendall(b"echo")
            self.assertEqual(connection.rest(), b"HTTP/1.1 200 OK\r\n\r\necho")
            self.assertEqual(loader.connect().ask(path="/plain")[2], b"not taken")
            self.finish(loader)


    def test_a_socket_that_was_kept_takes_no_later_request(self):
        for take in ("env['gunicorn.socket'].sendall(b'x')", "env['passenger.hijack'](True)"):
            source = wsgi("start('200 OK', plain)", "if not kept:", "    kept.append(env)", "    return [b'kept']",
                          "env = kept[0]", f"try: {take}", "except OSError: return [b'refused']",
                          "return [b'taken']", before="kept = []")
            loader = self.start(source)
            connection = loader.connect()
            self.assertEqual(connection.ask()[2], b"kept")
            self.assertEqual(connection.ask()[2], b"refused")
            self.finish(loader)

    def test_the_socket_is_refused_once_the_response_has_begun(self):
        source = wsgi("start('200 OK', plain)(b'begun ')", "try: env['gunicorn.socket'].send(b'x')",
                      "except OSError: return [b'refused']", "return [b'taken']")
        self.assertEqual(self.answers(source)[2:], (b"begun refused", None))


class AsgiSpecification:
    """ASGI 3, and its extensions."""

    def served(self, *lines):
        """A loader with an app whose function has these lines."""
        body = "\n    ".join(lines)
        loader = self.start(f"""
import asyncio, os
START = {{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}}
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    async def body(data, more=False):
        await send({{"type": "http.response.body", "body": data, "more_body": more}})
    {body}
""")
        self.assertEqual(loader.report, self.ready, loader.log())
        return loader

    def scope(self, *keys, **variables):
        """Some of a scope."""
        expected = ", ".join(f"scope[{key!r}]" for key in keys)
        loader = self.served("await send(START)", f"await body(repr(({expected},)).encode())")
        body = loader.connect().ask(**variables)[2].decode()
        self.finish(loader)
        return body

    def test_paths_are_decoded_and_raw(self):
        variables = {"SCRIPT_NAME": "/caf\xc3\xa9", "REQUEST_URI": "/caf%C3%A9/a%20b%2Fc?d=%20", "QUERY_STRING": "d=%20"}
        reported = self.scope("path", "raw_path", "root_path", "query_string", **variables)
        self.assertEqual(reported, repr(("/caf\xe9/a b/c", b"/caf%C3%A9/a%20b%2Fc", "/caf\xe9", b"d=%20")))

    def test_the_http_version_is_what_the_server_says(self):
        for protocol, reported in (("HTTP/1.0", "1.0"), ("HTTP/1.1", "1.1"), ("HTTP/2.0", "2"), ("HTTP/3.0", "3")):
            self.assertEqual(self.scope("http_version", SERVER_PROTOCOL=protocol), repr((reported,)))

    def test_a_port_that_is_none_does_no_harm(self):
        for port, https, reported in (("abc", "", 80), ("", "", 80), ("x", "on", 443), ("8443", "on", 8443)):
            expected = repr((("example.org", reported),))
            self.assertEqual(self.scope("server", SERVER_PORT=port, HTTPS=https), expected)

    def test_early_hints_come_first(self):
        loader = self.served(
            "assert {'http.response.early_hint', 'http.response.informational'} <= set(scope['extensions'])",
            "await send({'type': 'http.response.informational', 'status': 103, 'headers': [(b'link', b'</a.css>')]})",
            "await send(START)",
            "await send({'type': 'http.response.early_hint', 'links': [b'</b.css>', b'</c.css>']})",
            "await body(b'x', True)",
            "await send({'type': 'http.response.early_hint', 'links': [b'</late.css>']})",
            "await body(b'y')",
        )
        connection = loader.connect()
        connection.send()
        for links in (["</a.css>"], ["</b.css>", "</c.css>"]):
            kind, _, payload = connection.frame()
            self.assertEqual((kind, parse_head(payload)), (INTERIM, ("103", [("link", link) for link in links])))
        self.assertEqual(connection.response()[2:], (b"xy", None))
        self.finish(loader)

    def test_a_path_is_sent_as_the_body(self):
        loader = self.served(
            "assert 'http.response.pathsend' in scope['extensions']",
            "await send(START)",
            "await send({'type': 'http.response.pathsend', 'path': os.path.abspath(scope['path'][1:])})",
        )
        for name, size in (("empty", 0), ("small", 1000), ("large", 3_000_000)):
            data = os.urandom(size)
            Path(loader.dir.name, name).write_bytes(data)
            _, _, body, error = loader.connect().ask(path="/" + name)
            self.assertEqual((body, error), (data, None))
            self.assertEqual(loader.connect().ask("HEAD", "/" + name)[2:], (b"", None))
        self.assertIn("No such file", loader.connect().ask(path="/none")[3])
        self.finish(loader, log="No such file")

    def test_events_out_of_order_are_refused_by_name(self):
        for lines, reported in (
            (["await body(b'x')"], "before 'http.response.start'"),
            (["await send(START)", "await send(START)"], "'http.response.start' twice"),
            (["await send(START)", "await body(b'x', True)", "await send({'type': 'http.response.trailers', 'headers': []})"],
             "not in the extensions"),
            (["await send({'type': 'http.response.start', 'status': 101})"], "status 101"),
        ):
            loader = self.served(*lines)
            self.assertIn(reported, loader.connect().ask()[3])
            self.finish(loader, log=reported)

    def test_an_event_after_the_response_is_an_error_of_the_app_alone(self):
        loader = self.served("await send(START)", "await body(b'whole')", "await body(b'more')")
        connection = loader.connect()
        self.assertEqual(connection.ask()[2:], (b"whole", None))
        self.assertEqual(connection.ask()[2:], (b"whole", None))
        self.finish(loader, log="after its response was complete")

    def test_after_a_disconnect_send_raises_an_oserror(self):
        loader = self.served(
            "await send(START)", "await body(b'begun', True)",
            "while (await receive())['type'] != 'http.disconnect': pass",
            "try:", "    await body(b'x', True)", "except OSError:", "    open('raised', 'w').close()",
        )
        connection = loader.connect()
        connection.send()
        self.assertEqual(connection.frame()[0], HEAD)
        self.assertEqual(connection.frame(), (BODY, 0, b"begun"))
        connection.socket.close()
        loader.until(Path(loader.dir.name, "raised").exists)
        self.finish(loader)

    def test_receive_gives_a_disconnect_after_the_response(self):
        loader = self.served(
            "while (await receive()).get('more_body'): pass", "await send(START)", "await body(b'whole')",
            "assert await receive() == {'type': 'http.disconnect'}",
        )
        connection = loader.connect()
        self.assertEqual(connection.ask("POST", body=b"x")[2], b"whole")
        self.assertEqual(connection.ask("POST", chunks=[b"x"])[2], b"whole")
        self.finish(loader)
