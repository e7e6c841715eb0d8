"""The WSGI classes whose usual work is done by the native support. Each inherits the Python methods, which do the rest."""

from typing import Any, Callable, Tuple, Type

from . import environment
from .connection import Connection, Lost
from .handler import NO_BODY, RequestHandler
from .hijack import GUNICORN, WERKZEUG, LazySocket
from .response import BaseResponse

# Set for each request; here they only keep their room in the dictionary.
OF_THE_REQUEST = ("passenger.hijack", "wsgi.early_hints", WERKZEUG, GUNICORN)


def classes(module: Any) -> Tuple[Callable[..., Connection], Type[RequestHandler]]:
    """Connection and handler on top of the module's types."""
    module.set_up(Lost, BaseResponse, LazySocket, environment.decode_path, environment.HTTPS)

    class NativeResponse(module.Response, BaseResponse):  # type: ignore[misc]
        """A response whose attributes are C's."""

        __slots__ = ()

    class NativeConnection(module.Connection, Connection):  # type: ignore[misc]
        """A connection that serves usual requests in C."""

        def close(self) -> None:
            self.forget()
            super().close()

        def finish(self) -> None:
            self.forget()
            super().finish()

    class NativeHandler(RequestHandler):
        """Requests are served in C until one fails, or the connection ends."""

        def __init__(self, connection: Any, app: Any, environments: environment.Environments) -> None:
            super().__init__(connection, app, environments)
            self._native = connection
            template = {**environments.constants, **dict.fromkeys(OF_THE_REQUEST), "wsgi.input": NO_BODY}
            connection.use(connection.socket.fileno(), template, environments.encoded_path)

        def _serve_one(self) -> bool:
            try:
                return bool(self._native.serve(self, self._app, self.under_way, NativeResponse))
            except (Lost, SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                if not self._native.answering:
                    raise
                self._failed(error)
                return not self._native.taken

    return NativeConnection, NativeHandler
