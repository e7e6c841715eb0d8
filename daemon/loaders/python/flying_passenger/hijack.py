"""The connection's socket as WSGI servers put it into `environ`; hijacked when the app first uses it."""

import socket
from typing import Any

from .response import BaseResponse

# Where libraries look for the socket: simple-websocket, flask-sock and python-engineio at these two.
WERKZEUG = "werkzeug.socket"
GUNICORN = "gunicorn.socket"

# Looking at these does not take the connection.
HARMLESS = frozenset(("family", "type", "proto", "timeout", "gettimeout", "getpeername", "getsockname", "getblocking"))


class LazySocket:
    """Behaves as the connection's socket. The first use of anything that could send or receive takes the connection."""

    __slots__ = ("_response",)

    def __init__(self, response: BaseResponse) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(socket.socket, name):
            raise AttributeError(f"a socket has no attribute {name!r}")
        if name not in HARMLESS:
            self._response.take(False)
        return getattr(self._response.peer(), name)
