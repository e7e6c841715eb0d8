"""Serves the requests of one connection: environment in, app called, response out."""

from typing import Any, Dict, Optional, Set

from .body import Body, NoBody
from .connection import Connection, Lost
from .environment import Environments
from .hijack import GUNICORN, WERKZEUG, LazySocket
from .report import log_exception
from .response import BaseResponse, Response

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
        self._response: BaseResponse = Response(connection, "")

    def serve(self) -> None:
        """Until the connection ends or the app takes it."""
        connection = self._connection
        try:
            while not connection.taken and self._serve_one():
                pass
        except Lost:
            # The client went away, or the daemon did.
            pass
        finally:
            self.under_way.discard(self)
            if not connection.taken:
                connection.close()
            elif not connection.handed_over:
                # Used where servers put their socket, which the server closes.
                connection.finish()

    def _serve_one(self) -> bool:
        self.under_way.discard(self)
        request = self._connection.read_request()
        if request is None:
            return False
        self.under_way.add(self)
        block, kind, length = request
        environ = self._environments.environ(block)
        response = Response(self._connection, environ["REQUEST_METHOD"])
        environ["passenger.hijack"] = response.hijack
        environ["wsgi.early_hints"] = response.early_hints
        environ[WERKZEUG] = environ[GUNICORN] = LazySocket(response)
        environ["wsgi.input"] = NO_BODY
        return self.serve_request(environ, response, kind, length)

    def serve_request(self, environ: Dict[str, Any], response: BaseResponse, kind: int, length: int) -> bool:
        """Reads what belongs to a request, and calls the app. False if the connection cannot be used again."""
        self._response = response
        body: Optional[Body] = None
        if kind == 1 and length:
            body = Body(self._connection, length)
        elif kind == 2:
            body = Body(self._connection, None)
            environ["wsgi.input_terminated"] = True
        elif kind == OUT_OF_BAND:
            # A client can send any method, but not this type of body.
            environ["passenger.oob_work"] = True
        if body is not None:
            environ["wsgi.input"] = body.buffered()
        self._answer(environ)
        if response.hijacked:
            return False
        if body is not None:
            body.drain()
        return True

    def _answer(self, environ: Dict[str, Any]) -> None:
        response = self._response
        try:
            result = self._app(environ, response.start_response)
            if response.hijacked:
                self.close_hijacked(result)
            else:
                response.send(result)
        except (Lost, SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            # gevent's Timeout and asyncio's CancelledError are not subclasses of `Exception`.
            self._failed(error)

    @staticmethod
    def close_hijacked(result: Any) -> None:
        """The app has taken the connection: what it returned is not sent."""
        close = getattr(result, "close", None)
        if close is not None:
            close()

    def _failed(self, error: BaseException) -> None:
        """Logs the full error and sends a summary to the daemon; the connection can be used again."""
        connection = self._connection
        if connection.taken and not connection.handed_over and isinstance(error, (StopIteration, ConnectionError)):
            # So the libraries end a WebSocket in front of gunicorn and Werkzeug.
            return
        log_exception()
        if connection.taken:
            connection.finish()
            return
        self._response.fail(f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:MAX_ERROR])
