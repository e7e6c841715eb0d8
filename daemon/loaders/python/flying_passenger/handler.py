"""Serves the requests of one connection: environment in, app called, response out."""

import sys
import traceback
from typing import Any, Dict, Union
from wsgiref.util import FileWrapper

from .body import Body, NoBody
from .connection import ERROR, FLAG_END, HIJACKED, Connection, Lost, frame
from .response import Response

NO_BODY = NoBody()
HTTPS = frozenset(("on", "1", "true", "yes"))
MAX_ERROR = 4096
# The kind of body of what is no request.
OUT_OF_BAND = 3

WSGI_ENV: Dict[str, Any] = {
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.url_scheme": "http",
    "wsgi.file_wrapper": FileWrapper,
}

WSGI_ENV_OF_THREADS = {**WSGI_ENV, "wsgi.multithread": True}


class RequestHandler:
    """One connection's requests, one after the other."""

    def __init__(self, connection: Connection, app: Any, multithread: bool) -> None:
        self._connection = connection
        self._app = app
        self._wsgi_env = WSGI_ENV_OF_THREADS if multithread else WSGI_ENV
        self._hijacked = False

    def serve(self) -> None:
        """Until the connection ends or the app takes it."""
        try:
            while not self._hijacked and self._serve_one():
                pass
        except Lost:
            # The client went away, or the daemon did.
            pass
        finally:
            if not self._hijacked:
                self._connection.close()

    def _serve_one(self) -> bool:
        request = self._connection.read_request()
        if request is None:
            return False
        block, kind, length = request
        environ = self._environ(block)
        body: Union[Body, NoBody] = NO_BODY
        if kind == 1 and length:
            body = Body(self._connection, length)
        elif kind == 2:
            body = Body(self._connection, None)
            environ["wsgi.input_terminated"] = True
        elif kind == OUT_OF_BAND:
            # A visitor can send the method, but not this.
            environ["passenger.oob_work"] = True
        environ["wsgi.input"] = body
        self._answer(environ)
        if self._hijacked:
            return False
        body.drain()
        return True

    def _environ(self, block: bytes) -> Dict[str, Any]:
        parts = iter(block.decode("latin-1").split("\0"))
        environ: Dict[str, Any] = dict(zip(parts, parts))
        environ.update(self._wsgi_env)
        if environ.get("HTTPS") in HTTPS:
            environ["wsgi.url_scheme"] = "https"
        environ["passenger.hijack"] = self._hijack
        return environ

    def _hijack(self, hand_over: bool = True) -> Any:
        """The connection's socket; with True it belongs to the app, which writes a whole HTTP response to it."""
        if hand_over and not self._hijacked:
            self._hijacked = True
            self._connection.write([frame(HIJACKED, 0, 0)])
        return self._connection.socket

    def _answer(self, environ: Dict[str, Any]) -> None:
        response = Response(self._connection, environ["REQUEST_METHOD"])
        try:
            result = self._app(environ, response.start_response)
            if self._hijacked:
                _close(result)
            else:
                response.send(result)
        except Lost:
            raise
        except Exception as error:
            self._failed(error, response)

    def _failed(self, error: Exception, response: Response) -> None:
        """The log gets everything, the daemon enough to tell the visitor; the connection stays in step."""
        traceback.print_exc()
        sys.stderr.flush()
        if self._hijacked:
            self._connection.close()
            return
        if not response.complete:
            text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:MAX_ERROR]
            self._connection.write([frame(ERROR, FLAG_END, len(text)), text])


def _close(result: Any) -> None:
    close = getattr(result, "close", None)
    if close is not None:
        close()
