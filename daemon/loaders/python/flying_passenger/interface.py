"""Selects the app's interface, WSGI or ASGI, and the server for it."""

import functools
import inspect
from typing import Any, Union

from .native import Native
from .report import LoadFailure
from .server import Server

NAMES = ("wsgi", "asgi")


def of(app: Any, configured: Any = None) -> str:
    """The interface that the startup file sets, else the one that the app's signature suggests."""
    if configured is not None:
        if configured not in NAMES:
            raise LoadFailure(f"passenger_interface in the startup file is {configured!r}; it must be 'wsgi' or 'asgi'")
        return str(configured)
    while isinstance(app, functools.partial):
        app = app.func
    if inspect.isclass(app):
        if inspect.iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004  its kind matters
            raise LoadFailure(
                "`application` is an application of ASGI 2, which is called twice; wrap it with asgiref's "
                "guarantee_single_callable"
            )
        return "wsgi"
    called = app if inspect.isroutine(app) else getattr(app, "__call__", None)  # noqa: B004  its kind matters
    return "asgi" if inspect.iscoroutinefunction(called) else "wsgi"


def server(
    descriptor: int, threads: int, encoded_path: bool, native: Native, app: Any, configured: Any = None
) -> Union[Server, Any]:
    """The server for this app; threads and the encoding of paths are settings of WSGI only."""
    if of(app, configured) == "wsgi":
        return Server(descriptor, app, threads, encoded_path, native)
    # asyncio takes its time to be loaded, which a WSGI app can do without.
    from .asgi import AsgiServer

    return AsgiServer(descriptor, app, native)
