"""One connection's bytes: read and written at once, with the event loop only where the daemon has to be waited for.

asyncio's own transports do the same with more calls for each message.
"""

import socket
from typing import Any, Optional

# Bytes that wait for the daemon before the app has to wait, and those with which it goes on.
HIGH = 64 * 1024
LOW = HIGH // 4
READ_SIZE = 64 * 1024

_AGAIN = (BlockingIOError, InterruptedError)


class Transport:
    """Owns the socket. Its protocol receives the calls that a protocol of asyncio receives."""

    def __init__(self, loop: Any, peer: socket.socket, protocol: Any) -> None:
        self._loop = loop
        self._socket = peer
        self.descriptor = peer.fileno()
        self._protocol = protocol
        self._unsent = bytearray()
        # The protocol is paused.
        self._waits = False
        self._reads = False
        # Nothing is read any more; closed once everything is sent.
        self._closing = False
        # `connection_lost` was called, or is about to be.
        self._lost = False
        # What the event loop calls. The protocol may read by itself, and write while `direct` says that nothing waits.
        self.on_readable = self.read
        peer.setblocking(False)
        protocol.direct = True
        protocol.connection_made(self)
        self.resume_reading()

    def write(self, data: bytes) -> None:
        """Send this, now or once the daemon takes it."""
        if self._lost:
            return
        if not self._unsent:
            try:
                sent = self._socket.send(data)
            except _AGAIN:
                sent = 0
            except OSError as error:
                self._fail(error)
                return
            if sent == len(data):
                return
            data = data[sent:]
            self._protocol.direct = False
            self._loop.add_writer(self.descriptor, self._writable)
        self._unsent += data
        if len(self._unsent) > HIGH and not self._waits:
            self._waits = True
            self._protocol.pause_writing()

    def pause_reading(self) -> None:
        """Leave what comes to the kernel."""
        if self._reads:
            self._reads = False
            self._loop.remove_reader(self.descriptor)

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reads and not self._closing:
            self._reads = True
            self._loop.add_reader(self.descriptor, self.on_readable)

    def close(self) -> None:
        """End the connection once everything is sent."""
        if self._closing:
            return
        self.pause_reading()
        self._closing = True
        self._protocol.direct = False
        if not self._unsent:
            self._lose(None)

    def read(self) -> None:
        """Something has come, or the end."""
        try:
            data = self._socket.recv(READ_SIZE)
        except _AGAIN:
            return
        except OSError as error:
            self._fail(error)
            return
        if data:
            self._protocol.data_received(data)
        elif self._protocol.eof_received():
            # The daemon sends nothing any more, but still takes something.
            self.pause_reading()
        else:
            self.close()

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except _AGAIN:
            return
        except OSError as error:
            self._fail(error)
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self.descriptor)
            if self._closing:
                self._lose(None)
                return
            self._protocol.direct = True
        if self._waits and len(self._unsent) <= LOW:
            self._waits = False
            self._protocol.resume_writing()

    def _fail(self, error: Exception) -> None:
        """The connection cannot be used."""
        self.pause_reading()
        self._closing = True
        self._protocol.direct = False
        if self._unsent:
            self._loop.remove_writer(self.descriptor)
            self._unsent.clear()
        self._lose(error)

    def _lose(self, error: Optional[Exception]) -> None:
        # Not at once: the caller is in the middle of something.
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._end, error)

    def _end(self, error: Optional[Exception]) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._socket.close()
