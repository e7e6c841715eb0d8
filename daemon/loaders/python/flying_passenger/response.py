"""One response: head and body as frames, as few writes as the app's iterable allows."""

import errno
import socket
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

from .connection import BODY, ERROR, FLAG_END, HEAD, HIJACKED, INTERIM, Connection, frame
from .files import FileWrapper
from .lenient import body_bytes, header_text

Headers = List[Tuple[str, str]]

EARLY_HINTS = "103 Early Hints"

# A body of as many bytes is copied behind its head: the kernel takes one buffer faster than four.
SMALL = 16 * 1024

# Responses that have no body.
BODILESS = ("204", "304")


# A variable, so that mypy does not take it for the list of attributes.
NO_SLOTS: Tuple[str, ...] = ()


class InvalidResponse(Exception):
    """The app's answer cannot be sent."""


class BaseResponse:
    """Collects status and headers, and sends them with the first part of the body. The attributes are the subclass's: they
    are Python's, or those of the native support.
    """

    __slots__ = NO_SLOTS

    _connection: Connection
    _status: Optional[str]
    _headers: Headers
    _head_sent: bool
    # The headers have the length of the body, or how it ends.
    _has_length: bool
    # Bytes that the Content-Length still allows; None without one.
    _left: Optional[int]
    complete: bool
    # The app has taken the connection: nothing is sent any more.
    hijacked: bool
    _bodiless: bool
    _to_head_request: bool

    @property
    def begun(self) -> bool:
        """A part of it has been sent."""
        return self._head_sent or self.complete

    def start_response(
        self, status: str, headers: Sequence[Tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """WSGI's start_response."""
        if exc_info is not None:
            try:
                if self._head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self._status = status if isinstance(status, str) else header_text(status)
        self._headers = list(headers)
        self._bodiless = self._to_head_request or self._status[:3] in BODILESS
        self._look_at_headers()
        return self._write

    def _look_at_headers(self) -> None:
        """Their length, if it is announced. In one round and without calls, as every response comes here."""
        self._has_length, self._left = False, None
        for name, value in self._headers:
            if not isinstance(name, str) or not isinstance(value, str):
                self._headers = [(header_text(name), header_text(value)) for name, value in self._headers]
                return self._look_at_headers()
            size = len(name)
            if size == 14 and name.lower() == "content-length":
                self._has_length = True
                if not value.strip().isdecimal():
                    raise InvalidResponse(f"the Content-Length {value!r} is not a number")
                self._left = int(value)
            elif size == 17 and name.lower() == "transfer-encoding":
                self._has_length = True
        return None

    def peer(self) -> socket.socket:
        """The connection's socket."""
        return self._connection.socket

    def take(self, handed_over: bool) -> None:
        """The connection is the app's from here on; with `handed_over` the app closes it, too. An app that has kept the
        object cannot take another request with it.
        """
        if not self.hijacked:
            if self.begun:
                raise OSError(errno.EBADF, "the response to the request of this socket has begun")
            self.hijacked = True
            self._connection.taken = True
            self._connection.write([frame(HIJACKED, 0, 0)])
        self._connection.handed_over = self._connection.handed_over or handed_over

    def hijack(self, hand_over: bool = False) -> Optional[socket.socket]:
        """`passenger.hijack`. With True the socket belongs to the app, which writes a whole HTTP response to it. A call
        without arguments does nothing, as in Passenger: templates of Django call whatever can be called.
        """
        if not hand_over:
            return None
        self.take(True)
        return self.peer()

    def fail(self, text: bytes) -> None:
        """Reports to the daemon that the app has failed."""
        if not self.complete:
            self._connection.write([frame(ERROR, FLAG_END, len(text)), text])
            self.complete = True

    def early_hints(self, headers: Iterable[Tuple[str, str]]) -> None:
        """`wsgi.early_hints`: a 103 response with these headers, as in gunicorn. Ignored once the response has begun."""
        if self._head_sent or self.complete or self.hijacked:
            return
        payload = _head(EARLY_HINTS, [(header_text(name), header_text(value)) for name, value in headers])
        self._connection.write([frame(INTERIM, 0, len(payload)), payload])

    def send(self, result: Any) -> None:
        """Send the app's iterable, and close it in any case."""
        try:
            if isinstance(result, (list, tuple)) and len(result) <= 1:
                self._send_whole(result[0] if result else b"")
            elif isinstance(result, (bytes, bytearray, str)):
                # Its elements would be numbers, or single characters.
                self._send_whole(result)
            else:
                if isinstance(result, FileWrapper):
                    # It is the same for HEAD, other than that of a body that the app may have left out.
                    self._know_length(result.length())
                self._send_parts(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _send_parts(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            if self.hijacked:
                return
            self._write_body(self._allowed(body_bytes(part)))
            if self.complete or (self._bodiless and part):
                # Content-Length is reached, or the part is not sent: PEP 3333 forbids requesting more.
                break
        self._finish()

    def _send_whole(self, data: Any) -> None:
        """A body in one piece: its length is known, and everything goes with one write."""
        if isinstance(data, str):
            data = body_bytes(data)
        if not data or self._bodiless or self.complete or self.hijacked:
            if not self._bodiless:
                self._know_length(len(data))
            self._finish()
            return
        if not self._has_length:
            if not self._head_sent:
                self._headers.append(("Content-Length", str(len(data))))
        elif self._left is not None and len(data) > self._left:
            data = data[: self._left]
        self._write_frames(data, FLAG_END)
        self.complete = True

    def _write(self, data: bytes) -> None:
        """WSGI's write()."""
        data = body_bytes(data)
        if len(self._allowed(data)) < len(data):
            raise InvalidResponse("write() was called with more bytes than the Content-Length announces")
        self._write_body(data)

    def _allowed(self, data: bytes) -> bytes:
        """What the Content-Length allows of it."""
        return data if self._left is None or self._bodiless or len(data) <= self._left else data[: self._left]

    def _write_body(self, data: bytes) -> None:
        if not data or self._bodiless or self.hijacked or self.complete:
            return
        flags = 0
        if self._left is not None:
            self._left -= len(data)
            flags = FLAG_END if self._left == 0 else 0
        self._write_frames(data, flags)
        self.complete = self.complete or flags == FLAG_END

    def _finish(self) -> None:
        if self.complete or self.hijacked:
            return
        if self._head_sent:
            self._connection.write([frame(BODY, FLAG_END, 0)])
        else:
            head = self._take_head()
            self._connection.write([frame(HEAD, FLAG_END, len(head)), head])
        self.complete = True

    def _write_frames(self, data: bytes, flags: int) -> None:
        header = frame(BODY, flags, len(data))
        if self._head_sent:
            self._connection.write([header, data])
            return
        head = self._take_head()
        parts = (frame(HEAD, 0, len(head)), head, header, data)
        if len(data) <= SMALL:
            self._connection.write_whole(b"".join(parts))
        else:
            self._connection.write(parts)

    def _take_head(self) -> bytes:
        """Writes the head, which is sent from here on."""
        if self._status is None:
            raise InvalidResponse("the app did not call start_response")
        head = _head(self._status, self._headers)
        self._head_sent = True
        return head

    def _know_length(self, length: Optional[int]) -> None:
        """Announce the length of the body, unless the app has done so."""
        if length is None or self._head_sent or self._status is None or self._status[:3] in BODILESS:
            return
        if not self._has_length:
            self._headers.append(("Content-Length", str(length)))
            self._left, self._has_length = length, True


class Response(BaseResponse):
    """A response as Python keeps it."""

    __slots__ = (
        "_bodiless",
        "_connection",
        "_has_length",
        "_head_sent",
        "_headers",
        "_left",
        "_status",
        "_to_head_request",
        "complete",
        "hijacked",
    )  # fmt: skip

    def __init__(self, connection: Connection, method: str) -> None:
        self._connection = connection
        self._status = self._left = None
        self._head_sent = self._has_length = self.complete = self.hijacked = False
        self._bodiless = self._to_head_request = method == "HEAD"


def _head(status: str, headers: Headers) -> bytes:
    """`STATUS NUL name NUL value …`."""
    parts = [status]
    for header in headers:
        parts.extend(header)
    text = "\0".join(parts)
    # One look at the whole finds what would be read as another header.
    if text.count("\0") != len(parts) - 1 or "\r" in text or "\n" in text:
        raise InvalidResponse("a response header contains a line break or NUL")
    return text.encode("latin-1")
