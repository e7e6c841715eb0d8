"""The connection's socket as WSGI servers put it into `environ`, taken from the server when the app first uses it."""

import socket
from typing import Any, Callable

# Where libraries look for the socket: simple-websocket, flask-sock and python-engineio at the first two.
KEYS = ("werkzeug.socket", "gunicorn.socket")

# Looking at these does not take the connection.
HARMLESS = frozenset(("family", "type", "proto", "timeout", "gettimeout", "getpeername", "getsockname", "getblocking"))


class LazySocket:
    """Behaves as the connection's socket. The first use of anything that could send or receive takes the connection."""

    __slots__ = ("_peer", "_take")

    def __init__(self, peer: socket.socket, take: Callable[[], Any]) -> None:
        self._peer = peer
        self._take = take

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(socket.socket, name):
            raise AttributeError(f"a socket has no attribute {name!r}")
        if name not in HARMLESS:
            self._take()
        return getattr(self._peer, name)
