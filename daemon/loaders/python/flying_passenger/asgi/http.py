"""One HTTP request and the app's response: ASGI events on one side, frames on the other."""

import asyncio
import collections
import functools
import os
from typing import Any, Deque, Dict, List, Optional, Tuple

from ..connection import BODY, ERROR, HEAD, INTERIM
from ..response import NO_SLOTS
from . import head
from .session import END, Session, frames

# Bytes of a body that wait for the app before no more are read.
READ_AHEAD = 128 * 1024
MAX_ERROR = 4096
# As much of a file as is read at a time.
FILE_PIECE = 256 * 1024

Message = Dict[str, Any]


class ClientGone(OSError):
    """The client or the daemon has disconnected: the response cannot be sent."""


class BaseExchange:
    """A request, until its answer is complete. The attributes are the subclass's: they are Python's, or those of the native
    support.
    """

    __slots__ = NO_SLOTS

    scope: Dict[str, Any]
    _session: Session
    _to_head_request: bool
    # Parts that wait for the app, and their bytes.
    _body: Deque[bytes]
    _held: int
    _body_complete: bool
    _body_told: bool
    _news: "Optional[asyncio.Future[None]]"
    _gone: bool
    _status: int
    _headers: List[Tuple[bytes, bytes]]
    _begun: bool
    complete: bool

    # What the connection calls.

    def take(self, data: bytes, is_last: bool) -> None:
        """A part of the request's body."""
        if data:
            self._body.append(data)
            self._held += len(data)
        self._body_complete = is_last
        if self._held > READ_AHEAD:
            self._session.set_reading(False)
        self._tell()

    def disconnected(self) -> None:
        """The connection has ended."""
        self._gone = True
        self._tell()

    # What the app calls.

    async def receive(self) -> Message:
        """ASGI's receive: the body part by part, then the end of the client."""
        while True:
            if self._gone or self.complete:
                return {"type": "http.disconnect"}
            if self._body or (self._body_complete and not self._body_told):
                return self._next_part()
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)

    def _next_part(self) -> Message:
        data = b"".join(self._body) if len(self._body) != 1 else self._body[0]
        if self._body:
            self._body.clear()
        self._held = 0
        self._session.set_reading(True)
        self._body_told = self._body_complete
        return {"type": "http.request", "body": data, "more_body": not self._body_complete}

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        if self._gone or self._session.lost:
            raise ClientGone("the client has gone")
        kind = message["type"]
        if self.complete:
            raise RuntimeError(f"the app sends {kind!r} after its response was complete")
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            self._require_start(kind)
            self._send_body(bytes(message.get("body", b"")), bool(message.get("more_body", False)))
            if self._session.is_full:
                await self._session.drain()
        elif kind == "http.response.pathsend":
            self._require_start(kind)
            await self._send_file(message["path"])
        elif kind == "http.response.early_hint":
            self._send_interim(103, [(b"link", bytes(link)) for link in message.get("links", ())])
        elif kind == "http.response.informational":
            self._send_interim(int(message["status"]), list(message.get("headers", ())))
        else:
            raise RuntimeError(f"the app sends {kind!r}, which is not in the extensions of its scope")

    def _start(self, message: Message) -> None:
        if self._status:
            raise RuntimeError("the app sends 'http.response.start' twice")
        status = int(message["status"])
        if not 200 <= status <= 999:
            raise RuntimeError(f"the app sends 'http.response.start' with the status {status}")
        self._status = status
        self._headers = list(message.get("headers", ()))

    def _require_start(self, kind: str) -> None:
        if not self._status:
            raise RuntimeError(f"the app sends {kind!r} before 'http.response.start'")

    def _send_interim(self, status: int, headers: List[Tuple[bytes, bytes]]) -> None:
        """Nothing is sent once the head is on its way, nor with another status: nginx and the daemon pass on 103 only."""
        if status == 103 and not self._begun:
            self._session.write(frames((INTERIM, 0, head.payload(status, headers))))

    async def _send_file(self, path: str) -> None:
        """`http.response.pathsend`: the file is the whole body. It is read in a thread, as disks may block."""
        if self._begun:
            raise RuntimeError("the app sends 'http.response.pathsend' after a part of the body")
        in_thread = functools.partial(asyncio.get_running_loop().run_in_executor, None)
        # pylint: disable=consider-using-with
        file = await in_thread(open, path, "rb")
        try:
            length = os.fstat(file.fileno()).st_size
            if self._to_head_request or self._status in head.BODILESS:
                self._send_body(b"", False)
                return
            data = await in_thread(file.read, FILE_PIECE)
            if len(data) == length:
                self._send_body(data, False)
                return
            while data:
                if self._gone or self._session.lost:
                    raise ClientGone("the client has gone")
                self._send_body(data, True)
                await self._session.drain()
                data = await in_thread(file.read, FILE_PIECE)
            self._send_body(b"", False)
        finally:
            file.close()

    def _send_body(self, data: bytes, more: bool) -> None:
        if self._to_head_request or self._status in head.BODILESS:
            data = b""
        flags = 0 if more else END
        if self._begun:
            if data or flags:
                self._session.write(frames((BODY, flags, data)))
        else:
            # A body in one piece: its length is known, and everything goes with one write.
            length = len(data) if not more and not self._to_head_request else -1
            payload = head.payload(self._status, self._headers, length)
            self._begun = True
            if data:
                self._session.write(frames((HEAD, 0, payload), (BODY, flags, data)))
            else:
                self._session.write(frames((HEAD, flags, payload)))
        if not more:
            self._end()

    def fail(self, text: str) -> None:
        """Reports that the app has failed; the connection can be used again."""
        if not self.complete and not self._gone:
            self._session.write(frames((ERROR, END, text.encode("utf-8", "replace")[:MAX_ERROR])))
            self._end()

    def _end(self) -> None:
        self.complete = True
        if self._body:
            self._body.clear()
        self._tell()
        self._session.answered()

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)


class HttpExchange(BaseExchange):
    """A request as Python keeps it."""

    __slots__ = (
        "_begun", "_body", "_body_complete", "_body_told", "_gone", "_headers", "_held", "_news", "_session", "_status",
        "_to_head_request", "complete", "scope",
    )  # fmt: skip

    def __init__(self, session: Session, scope: Dict[str, Any]) -> None:
        self.scope = scope
        self._session = session
        self._to_head_request = scope["method"] == "HEAD"
        self._body = collections.deque()
        self._held = self._status = 0
        self._body_complete = self._body_told = self._gone = self._begun = self.complete = False
        self._news = None
        self._headers = []
