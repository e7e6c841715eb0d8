"""Bytes from and to the daemon on one connection; the frames of the session protocol."""

import socket
import struct
from typing import Optional, Sequence, Tuple

from . import waiting

HEAD = 1
BODY = 2
INTERIM = 3
HIJACKED = 4
ERROR = 5
READY = 6

FLAG_END = 1

READ_SIZE = 64 * 1024

_REQUEST = struct.Struct("<IB3xQ")
_FRAME = struct.Struct("<IBB2x")
_LENGTH = struct.Struct("<I")
_REQUEST_SIZE, _unpack_request, _pack_frame = _REQUEST.size, _REQUEST.unpack_from, _FRAME.pack


class Lost(OSError):
    """The daemon has closed the connection: the client went away, or the process is to end."""


def frame(kind: int, flags: int, length: int) -> bytes:
    """A frame's header."""
    return _pack_frame(length, kind, flags)


class Connection:
    """One connection; what was received and not used is kept in it."""

    def __init__(self, peer: socket.socket) -> None:
        self.socket = peer
        self._buffer = b""
        # Where the unused part of the buffer begins.
        self._at = 0
        # The app has taken the connection; it got the socket itself, and closes it.
        self.taken = self.handed_over = False
        # Linux wakes who blocks in recv also when its own last message is read; who polls is not.
        self._readable = waiting.for_reading(peer)
        self.write([frame(READY, 0, 0)])

    def read_request(self) -> Optional[Tuple[bytes, int, int]]:
        """Environment block, kind of body and its length; None when the connection has ended between requests."""
        if self._at == len(self._buffer):
            self._readable.poll()
            if not self._fill():
                return None
        # Nearly always the whole head has come at once.
        if len(self._buffer) - self._at < _REQUEST_SIZE:
            self._ensure(_REQUEST_SIZE)
        env_length, kind, length = _unpack_request(self._buffer, self._at)
        if len(self._buffer) - self._at < _REQUEST_SIZE + env_length:
            self._ensure(_REQUEST_SIZE + env_length)
        begin = self._at + _REQUEST_SIZE
        self._at = begin + env_length
        return self._buffer[begin : self._at], kind, length

    def read_some(self, length: int) -> bytes:
        """At least one and at most `length` bytes."""
        self._ensure(1)
        return self._take(length)

    def read_chunk_length(self) -> int:
        """The length in front of a chunk."""
        self._ensure(_LENGTH.size)
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        return int(length)

    def write(self, parts: Sequence[bytes]) -> None:
        """Write all parts, with one system call if the daemon keeps up."""
        try:
            sent = self.socket.sendmsg(parts)
            if sent < sum(map(len, parts)):
                self._write_rest(parts, sent)
        except OSError as error:
            raise Lost(str(error)) from error

    def write_whole(self, data: bytes) -> None:
        """Write what is one buffer already."""
        try:
            sent = self.socket.send(data)
            if sent < len(data):
                self.socket.sendall(memoryview(data)[sent:])
        except OSError as error:
            raise Lost(str(error)) from error

    def write_rest(self, parts: Sequence[bytes], sent: int) -> None:
        """Write what follows the first `sent` bytes."""
        try:
            self._write_rest(parts, sent)
        except OSError as error:
            raise Lost(str(error)) from error

    def _write_rest(self, parts: Sequence[bytes], sent: int) -> None:
        """Without a copy of what may be large."""
        for part in parts:
            if sent < len(part):
                self.socket.sendall(memoryview(part)[sent:])
            sent = max(sent - len(part), 0)

    def close(self) -> None:
        """Give the connection up."""
        self.socket.close()

    def finish(self) -> None:
        """Close the connection of a hijacked request: also for a thread or a child process that still uses it."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The app has closed it.
            pass
        self.socket.close()

    def _take(self, length: int) -> bytes:
        data = self._buffer[self._at : self._at + length]
        self._at += len(data)
        return data

    def _ensure(self, length: int) -> None:
        while len(self._buffer) - self._at < length:
            if not self._fill():
                raise Lost("end of file inside a request")

    def _fill(self) -> bool:
        try:
            data = self.socket.recv(READ_SIZE)
        except OSError:
            return False
        rest = self._buffer[self._at :]
        self._buffer, self._at = rest + data if rest else data, 0
        return bool(data)
