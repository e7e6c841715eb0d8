"""One response: head and body as frames, as few writes as the app's iterable allows."""

from typing import Any, Callable, List, Optional, Sequence, Tuple

from .connection import BODY, FLAG_END, HEAD, Connection, frame

Headers = List[Tuple[str, str]]


class InvalidResponse(Exception):
    """The app's answer cannot be sent."""


class Response:
    """Collects status and headers, and sends them with the first part of the body."""

    def __init__(self, connection: Connection, method: str) -> None:
        self._connection = connection
        self._to_head_request = method == "HEAD"
        self._status: Optional[str] = None
        self._headers: Headers = []
        self._bodiless = self._to_head_request
        self._head_sent = False
        self._left: Optional[int] = None
        self.complete = False

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
        self._status = status
        self._headers = list(headers)
        self._bodiless = self._to_head_request or status[:3] in ("204", "304")
        return self._write

    def send(self, result: Any) -> None:
        """Send the app's iterable, and close it in any case."""
        try:
            if isinstance(result, (list, tuple)) and len(result) <= 1:
                self._send_whole(result[0] if result else b"")
            else:
                for part in result:
                    self._write(part)
                self._finish()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _send_whole(self, data: bytes) -> None:
        """A body in one piece: its length is known, and everything goes with one write."""
        if not self._head_sent and self._status is not None and not self._has_length() and not self._bodiless:
            self._headers.append(("Content-Length", str(len(data))))
        if data and not self._bodiless:
            self._write_frames(data, FLAG_END)
            self.complete = True
        else:
            self._finish()

    def _write(self, data: bytes) -> None:
        if not data or self._bodiless:
            return
        if not self._head_sent:
            self._left = self._content_length()
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise InvalidResponse("the body is longer than its Content-Length")
        flags = FLAG_END if self._left == 0 else 0
        self._write_frames(data, flags)
        self.complete = self.complete or flags == FLAG_END

    def _finish(self) -> None:
        if self.complete:
            return
        if self._head_sent:
            self._connection.write([frame(BODY, FLAG_END, 0)])
        else:
            head = self._head()
            self._connection.write([frame(HEAD, FLAG_END, len(head)), head])
        self.complete = True

    def _write_frames(self, data: bytes, flags: int) -> None:
        header = frame(BODY, flags, len(data))
        if self._head_sent:
            self._connection.write([header, data])
            return
        head = self._head()
        self._connection.write([frame(HEAD, 0, len(head)), head, header, data])

    def _head(self) -> bytes:
        """`STATUS NUL name NUL value …`; from here on it counts as sent."""
        if self._status is None:
            raise InvalidResponse("the app did not call start_response")
        parts = [self._status]
        for header in self._headers:
            parts.extend(header)
        text = "\0".join(parts)
        # One look at the whole finds what would be read as another header.
        if text.count("\0") != len(parts) - 1 or "\r" in text or "\n" in text:
            raise InvalidResponse("a response header holds a line break or NUL")
        head = text.encode("latin-1")
        self._head_sent = True
        return head

    def _has_length(self) -> bool:
        return any(name.lower() in ("content-length", "transfer-encoding") for name, _ in self._headers)

    def _content_length(self) -> Optional[int]:
        for name, value in self._headers:
            if name.lower() == "content-length":
                return int(value)
        return None
