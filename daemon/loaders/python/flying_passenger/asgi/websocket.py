"""One WebSocket after its handshake: ASGI events on one side, frames of RFC 6455 on the other."""

import asyncio
import collections
from typing import Any, Deque, Dict, List, Optional, Tuple

from ..connection import BODY, ERROR, HEAD, HIJACKED
from . import head
from . import websocket_frames as wire
from .http import MAX_ERROR, ClientGone, Message
from .session import END, Session, frames

# Bytes of messages that wait for the app before no more are read.
READ_AHEAD = 256 * 1024
# What an event takes beside the message, which may be empty.
EVENT = 512

GOING_AWAY = 1001
ABNORMAL = 1006
RESTARTING = 1012
FAILED = 1011

ASKED, ACCEPTED, DENIED, OVER = range(4)


class WebSocketExchange:
    """A WebSocket, from the client's wish for it to its end."""

    def __init__(self, session: Session, scope: Dict[str, Any], key: bytes) -> None:
        self.scope = scope
        self._session = session
        self._key = key
        self._state = ASKED
        self._decoder = wire.Decoder()
        # Each with the number of bytes towards the limit of bytes read ahead.
        self._events: Deque[Tuple[Message, int]] = collections.deque([({"type": "websocket.connect"}, 0)])
        self._held = 0
        self._news: Optional[asyncio.Future[None]] = None
        self._denial: List[Any] = []
        self._ended: Optional[Message] = None

    # What the connection calls.

    def take(self, data: bytes, is_last: bool = False) -> None:
        """Bytes of the client. Before the handshake there are none, as the request has no body."""
        if self._state != ACCEPTED or not data:
            return
        try:
            for received in self._decoder.take(data):
                self._received(received)
                if self._state != ACCEPTED:
                    return
        except wire.Violation as violation:
            self._close(violation.code, str(violation), reported=violation.code)

    def ended(self) -> bool:
        """The client sends nothing any more, or the daemon ends tunnels. True keeps the connection for the goodbye."""
        self._close(GOING_AWAY, "", reported=GOING_AWAY)
        return False

    def disconnected(self) -> None:
        """The connection has ended."""
        self._end(ABNORMAL)

    def restart(self) -> None:
        """The process is to end."""
        if self._state == ACCEPTED:
            self._close(RESTARTING, "", reported=RESTARTING)

    # What the app calls.

    async def receive(self) -> Message:
        """ASGI's receive."""
        while not self._events:
            if self._ended is not None:
                return self._ended
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)
        event, held = self._events.popleft()
        self._held -= held
        if self._held <= READ_AHEAD:
            self._session.set_reading(True)
        return event

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        kind = message["type"]
        if self._state == OVER:
            if kind == "websocket.close":
                return
            raise ClientGone("the WebSocket is closed")
        if kind == "websocket.accept" and self._state == ASKED:
            self._accept(message)
        elif kind == "websocket.send" and self._state == ACCEPTED:
            self._send(message)
            await self._session.drain()
        elif kind == "websocket.close" and self._state == ACCEPTED:
            code = int(message.get("code") or 1000)
            self._close(code, message.get("reason") or "", reported=code)
        elif kind == "websocket.close" and self._state == ASKED:
            self._deny(403, [], b"")
        elif kind == "websocket.http.response.start" and self._state == ASKED:
            self._denial = [int(message["status"]), list(message.get("headers", ())), b""]
            self._state = DENIED
        elif kind == "websocket.http.response.body" and self._state == DENIED:
            self._denial[2] += bytes(message.get("body", b""))
            if not message.get("more_body", False):
                self._deny(*self._denial)
        else:
            raise RuntimeError(f"the app sends {kind!r} in the wrong order")

    def fail(self, text: str) -> None:
        """The app has failed."""
        if self._state == ACCEPTED:
            self._close(FAILED, "", reported=FAILED)
        elif self._state in (ASKED, DENIED):
            self._session.write(frames((ERROR, END, text.encode("utf-8", "replace")[:MAX_ERROR])))
            self._answered()

    @property
    def complete(self) -> bool:
        """Whether nothing is left to send."""
        return self._state == OVER

    def left(self) -> None:
        """The app has returned."""
        if self._state == ACCEPTED:
            self._close(1000, "", reported=1000)

    def _accept(self, message: Message) -> None:
        headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
        headers.append((b"sec-websocket-accept", wire.accept_key(self._key)))
        if message.get("subprotocol"):
            headers.append((b"sec-websocket-protocol", str(message["subprotocol"]).encode("latin-1")))
        headers += message.get("headers", ())
        # A look for line breaks, as for any answer.
        head.payload(101, headers)
        lines = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
        self._session.write(frames((HIJACKED, 0, b"")), b"HTTP/1.1 101 Switching Protocols\r\n", lines, b"\r\n")
        self._state = ACCEPTED
        self._session.become_raw(self)

    def _deny(self, status: int, headers: List[Tuple[bytes, bytes]], body: bytes) -> None:
        payload = head.payload(status, headers, len(body))
        if body:
            self._session.write(frames((HEAD, 0, payload), (BODY, END, body)))
        else:
            self._session.write(frames((HEAD, END, payload)))
        self._answered()

    def _answered(self) -> None:
        self._end(ABNORMAL)
        self._session.answered()

    def _send(self, message: Message) -> None:
        text = message.get("text")
        if text is not None:
            self._session.write(wire.encode(wire.TEXT, text.encode("utf-8")))
        else:
            self._session.write(wire.encode(wire.BINARY, bytes(message["bytes"])))

    def _received(self, received: wire.Received) -> None:
        opcode, data = received
        if opcode == wire.PING:
            self._session.write(wire.encode(wire.PONG, data))
        elif opcode == wire.CLOSE:
            code = wire.closing(data)
            self._close(1000 if code == 1005 else code, "", reported=code)
        elif opcode == wire.TEXT:
            self._add({"type": "websocket.receive", "text": wire.text(data)}, len(data))
        elif opcode == wire.BINARY:
            self._add({"type": "websocket.receive", "bytes": data}, len(data))

    def _add(self, event: Message, length: int) -> None:
        held = length + EVENT
        self._events.append((event, held))
        self._held += held
        if self._held > READ_AHEAD:
            self._session.set_reading(False)
        self._tell()

    def _close(self, code: int, reason: str, reported: int) -> None:
        if self._state == ACCEPTED:
            self._session.write(wire.encode_close(code, reason))
            self._end(reported)
            self._session.close()

    def _end(self, code: int) -> None:
        if self._state != OVER:
            self._state = OVER
            self._ended = {"type": "websocket.disconnect", "code": code, "reason": ""}
            self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)


Events = Dict[str, Any]
