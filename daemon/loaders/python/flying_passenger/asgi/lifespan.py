"""ASGI's lifespan protocol: the app is notified when the process starts and ends. Apps need not support it."""

import asyncio
import sys
from typing import Any, Dict, Optional, Set

from ..report import LoadFailure, log_exception
from .scope import VERSIONS

Message = Dict[str, Any]


class Lifespan:
    """One conversation with the app, as long as the process."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._answer: Optional[asyncio.Future[Message]] = None
        self._task: Optional[asyncio.Task[None]] = None
        self._begun = False
        self._exit: Optional[SystemExit] = None
        self.state: Dict[str, Any] = {}

    async def begin(self) -> None:
        """Returns when the app is ready for requests; raises `LoadFailure` when its startup fails."""
        scope = {"type": "lifespan", "asgi": {**VERSIONS, "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.get_running_loop().create_task(self._converse(scope))
        answer = await self._ask("lifespan.startup")
        self._begun = True
        if self._exit is not None:
            raise self._exit
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise LoadFailure(f"the app's lifespan startup failed: {answer.get('message', '')}")

    async def end(self) -> None:
        """Returns when the app has put its things away."""
        answer = await self._ask("lifespan.shutdown")
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            sys.stderr.write(f"the app's lifespan shutdown failed: {answer.get('message', '')}\n")
            sys.stderr.flush()

    async def _ask(self, event: str) -> Optional[Message]:
        """The app's answer; None when it takes no part."""
        assert self._task is not None
        if self._task.done():
            return None
        self._answer = asyncio.get_running_loop().create_future()
        self._to_app.put_nowait({"type": event})
        either: Set[asyncio.Future[Any]] = {self._task, self._answer}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else None

    async def _converse(self, scope: Dict[str, Any]) -> None:
        try:
            await self._app(scope, self._to_app.get, self._send)
        except SystemExit as exit_:
            # Raised here, it would end the event loop before the failure is reported to the daemon.
            if self._begun:
                raise
            self._exit = exit_
        except Exception as error:  # pylint: disable=broad-except
            # An app without lifespan support fails at the scope; a later failure is an error of the app.
            if self._begun or (self._answer is not None and self._answer.done()):
                log_exception()
            elif "lifespan" not in str(error) and not isinstance(error, (AssertionError, KeyError, NotImplementedError)):
                sys.stderr.write(f"the app takes no part in ASGI's lifespan: {type(error).__name__}: {error}\n")
                sys.stderr.flush()

    async def _send(self, message: Message) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)
