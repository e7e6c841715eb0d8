"""The connection's socket as WSGI servers put it into `environ`; hijacked when the app first uses it."""

import socket
from typing import Any, Optional, Protocol

from .response import Response

# Where libraries look for the socket: simple-websocket, flask-sock and python-engineio at these two.
WERKZEUG = "werkzeug.socket"
GUNICORN = "gunicorn.socket"

# Looking at these does not take the connection.
HARMLESS = frozenset(("family", "type", "proto", "timeout", "gettimeout", "getpeername", "getsockname", "getblocking"))


class Owner(Protocol):
    """Who has the connection until the app takes it."""

    def peer(self) -> socket.socket:
        """The connection's socket."""

    def take(self, response: Response, handed_over: bool) -> None:
        """From here on the connection is the app's; with `handed_over` the app closes it, too."""


class LazySocket:
    """Behaves as the connection's socket. The first use of anything that could send or receive takes the connection."""

    __slots__ = ("_owner", "_response")

    def __init__(self, owner: Owner, response: Response) -> None:
        self._owner = owner
        self._response = response

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(socket.socket, name):
            raise AttributeError(f"a socket has no attribute {name!r}")
        if name not in HARMLESS:
            self._owner.take(self._response, False)
        return getattr(self._owner.peer(), name)


def hijack(owner: Owner, response: Response, hand_over: bool = False) -> Optional[socket.socket]:
    """`passenger.hijack`. With True the socket belongs to the app, which writes a whole HTTP response to it. A call without
    arguments does nothing, as in Passenger: templates of Django call whatever can be called.
    """
    if not hand_over:
        return None
    owner.take(response, True)
    return owner.peer()
