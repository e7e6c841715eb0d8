"""Reports to the daemon, once, that the process is ready or why it is not."""

import os
import sys
import traceback
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NoReturn, Optional

STDERR_FD = 2

# At once; gevent's waits for its event loop.
_close = os.close


def log_exception() -> None:
    """The traceback of the exception that is handled, also where the app has closed or replaced `sys.stderr`."""
    _log(traceback.format_exc())


def _log(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:  # pylint: disable=broad-except
        _write_all(STDERR_FD, text.encode("utf-8", "backslashreplace"))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class LoadFailure(Exception):
    """A failure with a known cause: what is missing or wrong."""

    def __init__(self, summary: str, details: str = "") -> None:
        super().__init__(summary)
        self.details = details


class Report:
    """The report pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def loading(self) -> None:
        """Reports that everything before loading the app succeeded."""
        self._write("loading\n")

    def native(self, text: str) -> None:
        """Reports whether the native support is in use, or why it is not."""
        self._write(f"native {text}\n")

    def ready(self, at_once: Optional[int] = None) -> None:
        """Reports that the process accepts `at_once` concurrent requests: 0 for any number, None for one."""
        self._write("ready\n" if at_once is None else f"ready {at_once}\n")
        _close(self._descriptor)

    def failures(self, load: Callable[[], Any]) -> Any:
        """Run `load`; a failure in it is reported and ends the process."""
        with self.failing():
            return load()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """A failure in here is reported and ends the process."""
        try:
            yield
        except LoadFailure as failure:
            self._fail(str(failure), failure.details)
        except SystemExit as exit_:
            code = exit_.code
            why = f"exit status {int(code or 0)}" if code is None or isinstance(code, int) else str(code)
            self._fail(f"the app ended itself while it was loaded ({why})", traceback.format_exc())
        except BaseException as error:
            summary = f"the app failed while it was loaded: {type(error).__name__}: {error}"
            self._fail(summary, traceback.format_exc())

    def _fail(self, summary: str, details: str) -> NoReturn:
        first_line = summary.split("\n", 1)[0]
        self._write(f"error {first_line}\n{details}")
        _close(self._descriptor)
        os._exit(1)

    def _write(self, text: str) -> None:
        _write_all(self._descriptor, text.encode("utf-8", "replace"))
