"""The process's main loop for ASGI apps: connections are accepted until the owner pipe ends, then active requests are
finished.
"""

import asyncio
import faulthandler
import os
import signal
import socket
import sys
from typing import Any, Dict, Set

from .. import owner
from ..native import Native
from ..report import STDERR_FD, Report, log_exception
from .http import ClientGone, HttpExchange
from .lifespan import Lifespan
from .scope import Environment
from .session import Session
from .websocket import WebSocketExchange

# For the daemon: as many requests at a time as there are.
ANY_NUMBER = 0


class AsgiServer:
    """Serves an ASGI app."""

    def __init__(self, descriptor: int, app: Any, native: Native) -> None:
        os.set_inheritable(descriptor, False)
        self._listener = socket.socket(fileno=descriptor)
        self._listener.setblocking(False)
        self._app = app
        self._native = native
        self._sessions: Set[Session] = set()
        self._tasks: Set[asyncio.Task[None]] = set()
        self._sockets: Set[WebSocketExchange] = set()
        self._state: Dict[str, Any] = {}
        self._fewer: Any = None
        # The event loop ends, with all its tasks.
        self._over = False
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        faulthandler.register(signal.SIGQUIT, file=STDERR_FD, all_threads=True, chain=False)

    def run(self, reporter: Report) -> None:
        """Reports when the app is ready, and serves until the daemon wants the process to end."""
        loop = _new_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve(reporter))
        finally:
            self._over = True
            _wind_up(loop)

    async def _serve(self, reporter: Report) -> None:
        lifespan = Lifespan(self._app)
        with reporter.failing():
            await lifespan.begin()
        self._state = lifespan.state
        loop = asyncio.get_running_loop()
        ending, self._fewer = asyncio.Event(), asyncio.Event()
        loop.add_reader(owner.FD, ending.set)
        # From 3.13 on the socket's file would be removed at the end; it is the daemon's.
        more: Dict[str, Any] = {"cleanup_socket": False} if _removes_sockets(loop) else {}
        server = await loop.create_unix_server(self._session, sock=self._listener, backlog=4096, **more)
        reporter.ready(ANY_NUMBER)
        await ending.wait()
        loop.remove_reader(owner.FD)
        server.close()
        await self._finish()
        await lifespan.end()

    async def _finish(self) -> None:
        for websocket in list(self._sockets):
            websocket.restart()
        for session in list(self._sessions):
            if session.is_idle:
                session.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for session in list(self._sessions):
            session.close()
        # What was written is on its way; the daemon's patience is the limit.
        while self._sessions:
            self._fewer.clear()
            await self._fewer.wait()

    def _session(self) -> Session:
        session = Session(self)
        self._sessions.add(session)
        return session

    # What a session calls.

    def gone(self, session: Session) -> None:
        """The connection has ended."""
        self._sessions.discard(session)
        self._fewer.set()

    def begin(self, session: Session, environment: Environment) -> Any:
        """A request has come: the app is called with it."""
        exchange: Any
        if environment.is_websocket():
            exchange = WebSocketExchange(session, environment.variables[b"HTTP_SEC_WEBSOCKET_KEY"])
            self._sockets.add(exchange)
            scope = environment.scope("websocket", self._state)
        else:
            scope = environment.scope("http", self._state)
            exchange = HttpExchange(session, scope["method"])
        task = asyncio.get_running_loop().create_task(self._call(scope, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return exchange

    async def _call(self, scope: Dict[str, Any], exchange: Any) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
            _returned(exchange)
        except ClientGone:
            pass
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # pylint: disable=broad-except
            # Nothing else cancels this task before the shutdown: a CancelledError is the app's own.
            if self._over:
                raise
            log_exception()
            exchange.fail(f"{type(error).__name__}: {error}")
        finally:
            self._sockets.discard(exchange)


def _returned(exchange: Any) -> None:
    """The app has returned."""
    if isinstance(exchange, WebSocketExchange):
        exchange.left()
    if not exchange.complete:
        exchange.fail("the app returned without a complete response")


def _new_loop() -> Any:
    """uvloop's, where the app brings it along."""
    try:
        import uvloop  # type: ignore[import-not-found]
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _wind_up(loop: Any) -> None:
    """What the app has left running is cancelled, and may put its things away, as with `asyncio.run`."""
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _removes_sockets(loop: Any) -> bool:
    return sys.version_info >= (3, 13) and type(loop).__module__.startswith("asyncio")
