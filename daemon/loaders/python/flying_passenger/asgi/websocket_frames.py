"""The frames of RFC 6455, decoded and encoded. Does no I/O."""

import base64
import hashlib
import struct
from typing import Iterator, NamedTuple, Optional, Tuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL = 8

PROTOCOL_ERROR = 1002
NOT_UTF8 = 1007
TOO_BIG = 1009

# Longest message of a client, in bytes: as much memory as one of them can take.
MAX_MESSAGE = 16 * 1024 * 1024

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Violation(Exception):
    """The client does not keep to the protocol."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Received(NamedTuple):
    """A whole message, or a control frame."""

    opcode: int
    data: bytes


def accept_key(key: bytes) -> bytes:
    """What proves that the handshake was understood."""
    return base64.b64encode(hashlib.sha1(key.strip() + GUID).digest())


def encode(opcode: int, data: bytes) -> bytes:
    """A frame of the server's."""
    length = len(data)
    if length < 126:
        return bytes((0x80 | opcode, length)) + data
    if length < 65536:
        return struct.pack(">BBH", 0x80 | opcode, 126, length) + data
    return struct.pack(">BBQ", 0x80 | opcode, 127, length) + data


def encode_close(code: int, reason: str = "") -> bytes:
    """A closing frame."""
    # At most as long as a control frame allows, and cut between characters.
    words = reason.encode("utf-8")[:123].decode("utf-8", "ignore").encode("utf-8")
    return encode(CLOSE, struct.pack(">H", code) + words)


def closing(data: bytes) -> int:
    """The code of a close frame, as the app receives it."""
    if not data:
        return 1005
    if len(data) == 1:
        raise Violation(PROTOCOL_ERROR, "a closing frame of one byte")
    (code,) = struct.unpack_from(">H", data)
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(PROTOCOL_ERROR, f"the closing code {code}")
    text(data[2:])
    return int(code)


def text(data: bytes) -> str:
    """A text message's text."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Violation(NOT_UTF8, "a text that is not UTF-8") from error


class Decoder:
    """The client's bytes, put together to messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        # In one piece, as parts may be many and small.
        self._message = bytearray()
        self._opcode: Optional[int] = None

    def take(self, data: bytes) -> Iterator[Received]:
        """Returns what these bytes complete; raises `Violation`."""
        self._buffer += data
        while True:
            frame = self._frame()
            if frame is None:
                return
            final, opcode, payload = frame
            if opcode >= CONTROL:
                yield Received(opcode, payload)
                continue
            received = self._add(final, opcode, payload)
            if received is not None:
                yield received

    def _frame(self) -> Optional[Tuple[bool, int, bytes]]:
        """The next frame, once it is there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode, length, at = first & 0x0F, second & 0x7F, 2
        self._check(first, second, opcode, length)
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(buffer) < at + size:
                return None
            length = int.from_bytes(buffer[at : at + size], "big")
            at += size
        if len(self._message) + length > MAX_MESSAGE:
            raise Violation(TOO_BIG, f"a message of more than {MAX_MESSAGE} bytes")
        end = at + 4 + length
        if len(buffer) < end:
            return None
        payload = unmask(bytes(buffer[at + 4 : end]), bytes(buffer[at : at + 4]))
        del buffer[:end]
        return bool(first & 0x80), opcode, payload

    def _check(self, first: int, second: int, opcode: int, length: int) -> None:
        if first & 0x70:
            raise Violation(PROTOCOL_ERROR, "a reserved bit is set")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(PROTOCOL_ERROR, f"the opcode {opcode}")
        if not second & 0x80:
            raise Violation(PROTOCOL_ERROR, "a frame without a mask")
        if opcode >= CONTROL and (length > 125 or not first & 0x80):
            raise Violation(PROTOCOL_ERROR, "a control frame that is long or in parts")

    def _add(self, final: bool, opcode: int, payload: bytes) -> Optional[Received]:
        """A message, when this was its last part."""
        if (opcode == CONTINUATION) != (self._opcode is not None):
            raise Violation(PROTOCOL_ERROR, "a continuation without a message, or a message inside another")
        if self._opcode is None:
            self._opcode = opcode
        if final and not self._message:
            received = Received(self._opcode, payload)
        else:
            self._message += payload
            if not final:
                return None
            received = Received(self._opcode, bytes(self._message))
            self._message = bytearray()
        self._opcode = None
        return received


def unmask(data: bytes, mask: bytes) -> bytes:
    """What the client meant: as one large number, since a loop over bytes is slow."""
    length = len(data)
    repeated = (mask * (length // 4 + 1))[:length]
    mixed = int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")
    return mixed.to_bytes(length, "little")
