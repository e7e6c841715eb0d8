"""The process's main loop for ASGI apps: connections are accepted until the owner pipe ends, then active requests are
finished.
"""

import asyncio
import errno
import faulthandler
import os
import signal
import socket
from typing import Any, Callable, Dict, Set

from .. import owner
from ..native import Native
from ..report import STDERR_FD, Report, log_exception
from .http import ClientGone, HttpExchange
from .lifespan import Lifespan
from .scope import Environment
from .session import Session
from .tasks import starter
from .transport import Transport
from .websocket import WebSocketExchange

# For the daemon: as many requests at a time as there are.
ANY_NUMBER = 0
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
# Seconds between two attempts to take a connection without a descriptor left.
PAUSE = 0.05


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
        self._session: Callable[[Any], Session] = Session
        self._loop: Any = None
        self._start_task: Any = None
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
        self._loop, self._start_task = loop, starter(loop)
        module = self._native.usable()
        if module is not None:
            # What is not used need not be loaded.
            from .native import session_class

            self._session = session_class(module, self._state)
        loop.add_reader(self._listener.fileno(), self._accept)
        reporter.ready(ANY_NUMBER)
        await ending.wait()
        loop.remove_reader(owner.FD)
        loop.remove_reader(self._listener.fileno())
        self._listener.close()
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

    def _accept(self) -> None:
        """All connections that wait."""
        while True:
            try:
                peer, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in NO_DESCRIPTORS:
                    raise
                # The other connections are served meanwhile.
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(PAUSE, self._accept_again)
                return
            session = self._session(self)
            self._sessions.add(session)
            Transport(self._loop, peer, session)

    def _accept_again(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    # What a session calls.

    def gone(self, session: Session) -> None:
        """The connection has ended."""
        self._sessions.discard(session)
        self._fewer.set()

    def begin(self, session: Session, environment: Environment) -> Any:
        """A request has come."""
        exchange: Any
        if environment.is_websocket():
            scope = environment.scope("websocket", self._state)
            exchange = WebSocketExchange(session, scope, environment.variables[b"HTTP_SEC_WEBSOCKET_KEY"])
            self._sockets.add(exchange)
        else:
            exchange = HttpExchange(session, environment.scope("http", self._state))
        return exchange

    def start(self, exchange: Any) -> None:
        """The app is called with it."""
        task = self._start_task(self._call(exchange))
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, exchange: Any) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
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
