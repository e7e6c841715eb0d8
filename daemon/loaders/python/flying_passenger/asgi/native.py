"""The ASGI classes whose usual work is done by the native support. Each inherits the Python methods, which do the rest."""

from typing import Any, Callable, Dict

from .http import BaseExchange, Message
from .scope import HTTP_EXTENSIONS, SCOPE, VERSIONS
from .session import Host, Session


def session_class(module: Any, state: Dict[str, Any]) -> Callable[[Host], Session]:
    """A connection on top of the module's type. `state` is the lifespan's."""

    class NativeExchange(module.Exchange, BaseExchange):  # type: ignore[misc]
        """A request whose attributes are C's."""

        __slots__ = ()

        async def receive(self) -> Message:
            message: Message = self.receive_usual()
            return message if message is not None else await super().receive()

        async def send(self, message: Message) -> None:
            if not self.send_usual(message):
                await super().send(message)
            elif self._session.is_full:
                await self._session.drain()

    extensions: Dict[str, Any] = {name: {} for name in HTTP_EXTENSIONS}

    class NativeSession(module.Session, Session):  # type: ignore[misc]
        """A connection that reads usual requests in C."""

        def connection_made(self, transport: Any) -> None:
            self.use(transport.descriptor, NativeExchange, SCOPE, VERSIONS, extensions, state)
            transport.on_readable = self.readable
            super().connection_made(transport)

        def read_slowly(self) -> None:
            """What came is no usual request, or there is no room for it now."""
            self._transport.read()

    return NativeSession
