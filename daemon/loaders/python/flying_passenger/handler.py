"""Serves the requests of one connection: environment in, app called, response out."""

import errno
import socket
from functools import partial
from typing import Any, Dict, Optional, Set

from .body import Body, NoBody
from .connection import ERROR, FLAG_END, HIJACKED, Connection, Lost, frame
from .environment import Environments
from .hijack import GUNICORN, WERKZEUG, LazySocket, hijack
from .report import log_exception
from .response import Response

NO_BODY = NoBody()
MAX_ERROR = 4096
# The body type of a message that is not a request.
OUT_OF_BAND = 3


class RequestHandler:
    """One connection's requests, one after the other."""

    # Those that have a request which is not answered yet, in all threads.
    under_way: Set["RequestHandler"] = set()

    def __init__(self, connection: Connection, app: Any, environments: Environments) -> None:
        self._connection = connection
        self._app = app
        self._environments = environments
        self._response = Response(connection, "")
        self._hijacked = False
        # The app got the socket itself, and closes it.
        self._handed_over = False

    def serve(self) -> None:
        """Until the connection ends or the app takes it."""
        try:
            while not self._hijacked and self._serve_one():
                pass
        except Lost:
            # The client went away, or the daemon did.
            pass
        finally:
            self.under_way.discard(self)
            if not self._hijacked:
                self._connection.close()
            elif not self._handed_over:
                # Used where servers put their socket, which the server closes.
                self._connection.finish()

    def _serve_one(self) -> bool:
        self.under_way.discard(self)
        request = self._connection.read_request()
        if request is None:
            return False
        self.under_way.add(self)
        block, kind, length = request
        environ = self._environments.environ(block)
        response = self._response = Response(self._connection, environ["REQUEST_METHOD"])
        environ["passenger.hijack"] = partial(hijack, self, response)
        environ["wsgi.early_hints"] = response.early_hints
        environ[WERKZEUG] = environ[GUNICORN] = LazySocket(self, response)
        body: Optional[Body] = None
        if kind == 1 and length:
            body = Body(self._connection, length)
        elif kind == 2:
            body = Body(self._connection, None)
            environ["wsgi.input_terminated"] = True
        elif kind == OUT_OF_BAND:
            # A client can send any method, but not this type of body.
            environ["passenger.oob_work"] = True
        environ["wsgi.input"] = NO_BODY if body is None else body.buffered()
        self._answer(environ)
        if self._hijacked:
            return False
        if body is not None:
            body.drain()
        return True

    # What the app's objects of the request call.

    def peer(self) -> socket.socket:
        """The connection's socket."""
        return self._connection.socket

    def take(self, response: Response, handed_over: bool) -> None:
        """The connection is the app's from here on. An app that has kept the object cannot take another request with it."""
        if not response.hijacked:
            if response is not self._response or response.begun:
                raise OSError(errno.EBADF, "the response to the request of this socket has begun")
            self._hijacked = response.hijacked = True
            self._connection.write([frame(HIJACKED, 0, 0)])
        self._handed_over = self._handed_over or handed_over

    def _answer(self, environ: Dict[str, Any]) -> None:
        try:
            result = self._app(environ, self._response.start_response)
            if self._hijacked:
                _close(result)
            else:
                self._response.send(result)
        except (Lost, SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            # gevent's Timeout and asyncio's CancelledError are not subclasses of `Exception`.
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """Logs the full error and sends a summary to the daemon; the connection can be used again."""
        if self._hijacked and not self._handed_over and isinstance(error, (StopIteration, ConnectionError)):
            # So the libraries end a WebSocket in front of gunicorn and Werkzeug.
            return
        log_exception()
        if self._hijacked:
            self._connection.finish()
            return
        if not self._response.complete:
            text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:MAX_ERROR]
            self._connection.write([frame(ERROR, FLAG_END, len(text)), text])


def _close(result: Any) -> None:
    close = getattr(result, "close", None)
    if close is not None:
        close()
