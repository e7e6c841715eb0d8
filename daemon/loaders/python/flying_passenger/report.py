"""Tells the daemon, once, that the process is ready or why it is not."""

import os
import sys
import traceback
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NoReturn, Optional


class LoadFailure(Exception):
    """A failure whose cause is told apart: what is missing, and whose fault it is."""

    def __init__(self, summary: str, details: str = "") -> None:
        super().__init__(summary)
        self.details = details


class Report:
    """The report pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def loading(self) -> None:
        """The app is about to be loaded: everything before went well."""
        self._write("loading\n")

    def ready(self, at_once: Optional[int] = None) -> None:
        """Requests may be sent: so many at a time, 0 for any number, one when nothing is said."""
        self._write("ready\n" if at_once is None else f"ready {at_once}\n")
        os.close(self._descriptor)

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
            self._fail(f"the app ended itself while it was loaded (exit status {exit_.code})", traceback.format_exc())
        except BaseException as error:
            summary = f"the app failed while it was loaded: {type(error).__name__}: {error}"
            self._fail(summary, traceback.format_exc())

    def _fail(self, summary: str, details: str) -> NoReturn:
        if details:
            sys.stderr.write(details)
            sys.stderr.flush()
        first_line = summary.split("\n", 1)[0]
        self._write(f"error {first_line}\n{details}")
        os.close(self._descriptor)
        os._exit(1)

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._descriptor, data) :]
