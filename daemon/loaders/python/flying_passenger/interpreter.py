"""Startup files that replace the interpreter: `os.execl(INTERP, INTERP, *sys.argv)`, as providers of shared hosting advise.
The loader then starts again in the other interpreter, with the descriptors and settings that it was started with.
"""

import os
import sys
from contextlib import contextmanager
from typing import Any, Iterator, NoReturn, Sequence

PREFIX = "FLYING_PASSENGER_"
# Set when the loader was started by itself.
AGAIN = PREFIX + "AGAIN"


class Interpreter:
    """What the loader was started with, taken before it removes it from the app's environment."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        # `loading` is reported once.
        self.is_first = os.environ.pop(AGAIN, None) is None
        self._descriptors = descriptors
        self._settings = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        self._settings[AGAIN] = "1"
        self._loader = os.path.abspath(sys.argv[0])

    @contextmanager
    def may_be_replaced(self) -> Iterator[None]:
        """In here, the app may run another interpreter with the loader. All functions of `os.exec*` call one of these two."""
        execv, execve = os.execv, os.execve

        def with_loader(path: Any, arguments: Any) -> NoReturn:
            if self._names_loader(arguments):
                with self._passed_on():
                    execve(path, arguments, {**os.environ, **self._settings})
            execv(path, arguments)

        def with_loader_and_environment(path: Any, argv: Any, env: Any) -> NoReturn:
            if self._names_loader(argv):
                with self._passed_on():
                    execve(path, argv, {**env, **self._settings})
            execve(path, argv, env)

        os.execv = with_loader
        os.execve = with_loader_and_environment
        try:
            yield
        finally:
            # The app may have replaced them in its turn.
            if os.execv is with_loader:
                os.execv = execv
            if os.execve is with_loader_and_environment:
                os.execve = execve

    def _names_loader(self, arguments: Any) -> bool:
        return any(os.path.abspath(os.fsdecode(argument)) == self._loader for argument in arguments)

    @contextmanager
    def _passed_on(self) -> Iterator[None]:
        """Keeps the descriptors open over the exec, and restores their flags if the interpreter does not exist."""
        for descriptor in self._descriptors:
            os.set_inheritable(descriptor, True)
        try:
            yield
        finally:
            for descriptor in self._descriptors:
                os.set_inheritable(descriptor, False)
