"""The native support: C functions for what every usual request needs, used if they were built for exactly this interpreter.

Whatever is unusual, they leave to the methods of the Python classes; without them, Python does everything.
"""

import importlib.machinery
import importlib.util
import os
import select
import socket
import sys
from typing import Any

VARIABLE = "FLYING_PASSENGER_NATIVE"
MODULE = "flying_passenger_native"
# Characters of a reason in the report.
MAX_REASON = 300

# As they were before the app was loaded.
_POLL, _SOCKET = select.poll, socket.socket


def interpreter_key() -> str:
    """The directory of what was built for this interpreter: the objects of another release are never loaded."""
    abi = importlib.machinery.EXTENSION_SUFFIXES[0].split(".")[1]
    return f"python-{sys.implementation.name}-{sys.version.split()[0]}-{abi}"


class Native:
    """What was found at the start of the process."""

    def __init__(self) -> None:
        # A directory, or the reason why the daemon offers none.
        offered = os.environ.pop(VARIABLE, "the daemon offers none")
        self.module: Any = None
        self._reason = offered
        if not offered.startswith("/"):
            return
        try:
            self.module = _load(offered)
        except Unavailable as unavailable:
            self._reason = str(unavailable)

    def usable(self, patchable: bool = False) -> Any:
        """The module, unless the app has replaced what it would do; None for the Python methods."""
        if self.module is not None and patchable and _is_patched():
            self.module = None
            self._reason = "the app has replaced functions of the standard library, as gevent and eventlet do"
        return self.module

    def report(self) -> str:
        """What is in use, for the daemon."""
        return "yes" if self.module is not None else "no " + " ".join(self._reason.split())[:MAX_REASON]


class Unavailable(Exception):
    """The native support cannot be used; the text is the reason."""


def _load(directory: str) -> Any:
    if sys.implementation.name != "cpython":
        raise Unavailable(f"there is none for {sys.implementation.name}")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Unavailable("there is none for interpreters without a global interpreter lock")
    path = os.path.join(directory, interpreter_key(), MODULE + ".so")
    try:
        os.stat(path)
        loader = importlib.machinery.ExtensionFileLoader(MODULE, path)
        spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except (FileNotFoundError, NotADirectoryError):
        raise Unavailable(f"not built for {interpreter_key()}") from None
    except PermissionError:
        raise Unavailable(f"cannot load {path}: permission denied") from None
    except Exception as error:  # pylint: disable=broad-except
        # The app does not depend on it: no failure of the native support may keep it from its start.
        raise Unavailable(f"cannot load {path}: {str(error).replace(path, '').lstrip(': ')}") from error
    return module


def _is_patched() -> bool:
    """The native functions wait by themselves, where gevent and eventlet let other requests run."""
    return getattr(select, "poll", None) is not _POLL or socket.socket is not _SOCKET
