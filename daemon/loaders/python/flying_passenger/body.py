"""wsgi.input: the request's body as it comes, never more than belongs to the request."""

from typing import Iterator, List, Optional

from .connection import Connection

PIECE = 64 * 1024


class NoBody:
    """The input of a request without a body."""

    def read(self, size: Optional[int] = -1) -> bytes:
        return b""

    def readline(self, size: Optional[int] = -1) -> bytes:
        return b""

    def readlines(self, hint: Optional[int] = None) -> List[bytes]:
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def drain(self) -> None:
        """Nothing is left over."""


class Body:
    """A body of known length, or one in chunks."""

    def __init__(self, connection: Connection, length: Optional[int]) -> None:
        self._connection = connection
        # Bytes left in the body, or in the chunk; None at the front of a chunk.
        self._left = length
        self._chunked = length is None
        self._complete = False
        # Read from the connection for a line, and not used for it.
        self._ahead = b""

    def read(self, size: Optional[int] = -1) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self._some(PIECE), b""))
        parts = []
        while size > 0:
            data = self._some(size)
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: Optional[int] = -1) -> bytes:
        limit = -1 if size is None else size
        line = bytearray()
        while limit < 0 or len(line) < limit:
            data = self._some(PIECE)
            if not data:
                break
            end = data.find(b"\n") + 1 or len(data)
            if limit >= 0:
                end = min(end, limit - len(line))
            line += data[:end]
            self._ahead = data[end:] + self._ahead
            if line.endswith(b"\n"):
                break
        return bytes(line)

    def readlines(self, hint: Optional[int] = None) -> List[bytes]:
        lines, total = [], 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint and total >= hint:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def drain(self) -> None:
        """What the app did not read must not be taken for the next request."""
        while self._some(PIECE):
            pass

    def _some(self, size: int) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        if self._chunked and not self._left and not self._complete:
            self._left = self._connection.read_chunk_length()
            self._complete = self._left == 0
        if not self._left:
            return b""
        data = self._connection.read_some(min(size, self._left))
        self._left -= len(data)
        return data
