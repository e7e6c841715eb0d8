"""Accepts violations of PEP 3333 that Passenger accepts, with one warning for each kind and process."""

import sys
from typing import Any, Set

_warned: Set[str] = set()


def header_text(value: Any) -> str:
    """A header's name or value, or a status, as a str."""
    if isinstance(value, str):
        return value
    _warn(f"a status or header that is {type(value).__name__}, not str (PEP 3333)")
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def body_bytes(data: Any) -> Any:
    """A part of a body as bytes; a str is encoded as UTF-8."""
    if not isinstance(data, str):
        return data
    _warn("a response body that is str, not bytes (PEP 3333); it is encoded as UTF-8")
    return data.encode("utf-8")


def _warn(what: str) -> None:
    if what in _warned:
        return
    _warned.add(what)
    sys.stderr.write(f"the application returns {what}; this is accepted, and not logged again\n")
    sys.stderr.flush()
