"""One connection from the daemon: the session protocol, with a request at a time, in the event loop.

Bytes come in; each request becomes an exchange with the app, whose frames go out. After an upgrade the connection belongs
to a WebSocket.
"""

import asyncio
import struct
from typing import Any, Optional, Protocol, Sequence

from ..connection import FLAG_END, READY, frame
from .scope import Environment

_REQUEST = struct.Struct("<IB3xQ")
_LENGTH = struct.Struct("<I")


class Host(Protocol):
    """Who answers requests, as a connection sees it."""

    def begin(self, session: "Session", environment: Environment) -> Any:
        """A request's head has come: what takes its body."""

    def start(self, exchange: Any) -> None:
        """As much of its body as came with it was taken: the app is called."""

    def gone(self, session: "Session") -> None:
        """The connection has ended."""


class Session:
    """One connection."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: Any = None
        self._buffer = b""
        # Receives the body of the active request; None between requests.
        self._taker: Any = None
        self._body_left = 0
        self._chunked = False
        self._body_complete = True
        self._answered = True
        self._raw: Any = None
        # Inside `_advance`, which looks at what is left after each request.
        self._advancing = False
        self._drained: Optional[asyncio.Future[None]] = None
        self._paused = False
        self.lost = False
        # Nothing waits to be sent; the transport sets it.
        self.direct = False

    # What the transport calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(frame(READY, 0, 0))

    def data_received(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw.take(data)
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._advance()

    def eof_received(self) -> bool:
        if self._raw is not None:
            return bool(self._raw.ended())
        return False

    def connection_lost(self, error: Optional[Exception]) -> None:
        self.lost = True
        self.resume_writing()
        for listener in (self._taker, self._raw):
            if listener is not None:
                listener.disconnected()
        self._host.gone(self)

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        waiting, self._drained = self._drained, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # What exchanges call.

    def write(self, *parts: bytes) -> None:
        """Send what belongs together, with one system call if the daemon keeps up."""
        self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    @property
    def is_full(self) -> bool:
        """Whether the daemon has to take something before more is written."""
        return self._drained is not None

    async def drain(self) -> None:
        """Wait until the daemon has taken enough."""
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def set_reading(self, wanted: bool) -> None:
        """Back-pressure: nothing is read while the app does not take what came."""
        if self.lost or wanted != self._paused:
            return
        self._paused = not wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def answered(self) -> None:
        """The answer is complete; the next request may come once this one's body has."""
        self._answered = True
        if self._paused:
            self.set_reading(True)
        if self._advancing:
            return
        if self._buffer:
            # Not inside the task of this request, in which no other can begin.
            asyncio.get_running_loop().call_soon(self._advance)
        elif self._body_complete:
            self._taker = None

    def become_raw(self, listener: Any) -> None:
        """From here the bytes are the listener's."""
        self._raw, self._taker = listener, None
        rest, self._buffer = self._buffer, b""
        if rest:
            listener.take(rest)

    def close(self) -> None:
        """Give the connection up, after what was written."""
        if self._transport is not None:
            self._transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is active."""
        return self._taker is None and self._raw is None

    def _advance(self) -> None:
        self._advancing = True
        try:
            while self._raw is None:
                if self._taker is None:
                    if not self._begin():
                        return
                elif not self._body_complete:
                    self._feed()
                if not (self._body_complete and self._answered):
                    return
                self._taker = None
        finally:
            self._advancing = False

    def _begin(self) -> bool:
        """Takes a whole head from the buffer, if it is there, and starts the app."""
        if len(self._buffer) < _REQUEST.size:
            return False
        env_length, kind, length = _REQUEST.unpack_from(self._buffer)
        end = _REQUEST.size + env_length
        if len(self._buffer) < end:
            return False
        environment = Environment(self._buffer[_REQUEST.size : end])
        self._buffer = self._buffer[end:]
        self._chunked = kind == 2
        self._body_left = length if kind == 1 else 0
        self._body_complete = not self._chunked and not self._body_left
        self._answered = False
        exchange = self._taker = self._host.begin(self, environment)
        if self._body_complete:
            exchange.take(b"", True)
        else:
            self._feed()
        self._host.start(exchange)
        return True

    def _feed(self) -> None:
        while self._buffer and not self._body_complete:
            if self._chunked and not self._body_left:
                if len(self._buffer) < _LENGTH.size:
                    return
                (self._body_left,) = _LENGTH.unpack_from(self._buffer)
                self._buffer = self._buffer[_LENGTH.size :]
                if not self._body_left:
                    self._body_complete = True
                    self._give(b"")
                continue
            data, self._buffer = self._buffer[: self._body_left], self._buffer[self._body_left :]
            self._body_left -= len(data)
            self._body_complete = not self._chunked and not self._body_left
            self._give(data)

    def _give(self, data: bytes) -> None:
        # Data after the response is ignored.
        if not self._answered:
            self._taker.take(data, self._body_complete)


def frames(*parts: Sequence[Any]) -> bytes:
    """Frames, each given as kind, flags and payload."""
    return b"".join(piece for kind, flags, data in parts for piece in (frame(kind, flags, len(data)), data))


END = FLAG_END
