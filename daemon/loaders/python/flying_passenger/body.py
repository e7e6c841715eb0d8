"""`wsgi.input`: the request's body, read from the connection as it arrives and never past its end."""

import io
from typing import Any, Optional

from .connection import Connection

# What one read of the connection may bring, and what is read ahead for lines.
PIECE = 64 * 1024


class NoBody(io.BytesIO):
    """The input of all requests without a body, which an app can neither close nor fill for the others."""

    def close(self) -> None:
        """Nothing."""

    def write(self, data: Any) -> int:
        """Refused."""
        raise io.UnsupportedOperation("write")

    def writelines(self, lines: Any) -> None:
        """Refused."""
        raise io.UnsupportedOperation("writelines")


class Body(io.RawIOBase):
    """A body of known length, or one in chunks, as an unbuffered stream."""

    def __init__(self, connection: Connection, length: Optional[int]) -> None:
        super().__init__()
        self._connection = connection
        # Bytes left in the body, or in the chunk; None or 0 in front of a chunk.
        self._left = length
        self._chunked = length is None
        self._complete = False

    def buffered(self) -> io.BufferedReader:
        """The object for `wsgi.input`. `readline` returns a line once it has arrived; it does not wait for a full buffer."""
        return io.BufferedReader(self, PIECE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """At least one byte, or 0 at the end of the body."""
        data = self._some(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        """Drop what the app did not read, which must not be taken for the next request."""
        while self._some(PIECE):
            pass

    def _some(self, size: int) -> bytes:
        if self._chunked and not self._left and not self._complete:
            self._left = self._connection.read_chunk_length()
            self._complete = self._left == 0
        if not self._left:
            return b""
        data = self._connection.read_some(min(size, self._left))
        self._left -= len(data)
        return data
