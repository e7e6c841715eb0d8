"""Converts a request's environment block to WSGI's `environ`."""

import os
import sys
from typing import Any, Dict
from urllib.parse import unquote_to_bytes

from .files import FileWrapper

HTTPS = frozenset(("on", "1", "true", "yes"))

WSGI_ENV: Dict[str, Any] = {
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.url_scheme": "http",
    "wsgi.file_wrapper": FileWrapper,
}


class Environments:
    """Makes the `environ` of each request of a process."""

    def __init__(self, multithread: bool, encoded_path: bool) -> None:
        self.constants = {**WSGI_ENV, "wsgi.multithread": multithread}
        # `passenger_wsgi_encoded_path`: PATH_INFO stays as the client wrote it, as in Passenger.
        self.encoded_path = encoded_path

    def environ(self, block: bytes) -> Dict[str, Any]:
        """The variables as native strings: each character is a byte (PEP 3333)."""
        parts = iter(block.decode("latin-1").split("\0"))
        environ: Dict[str, Any] = dict(zip(parts, parts))
        environ.update(self.constants)
        if environ.get("HTTPS") in HTTPS:
            environ["wsgi.url_scheme"] = "https"
        if "%" in environ["PATH_INFO"] and not self.encoded_path:
            decode_path(environ)
        return environ


def decode_path(environ: Dict[str, Any]) -> None:
    """SCRIPT_NAME is the base URI, which nginx compares with the decoded path; only PATH_INFO is encoded."""
    path = unquote_to_bytes(environ["PATH_INFO"].encode("latin-1")).decode("latin-1")
    base = environ.get("SCRIPT_NAME", "")
    # The client may have encoded characters of the base URI, which the daemon then has not removed.
    if base and environ["REQUEST_URI"].split("?", 1)[0] == environ["PATH_INFO"] and path.startswith(base):
        rest = path[len(base) :]
        if not rest or rest[0] == "/":
            path = rest or "/"
    environ["PATH_INFO"] = path


def take_encoded_path() -> bool:
    """The setting as the daemon gives it; it is removed from the app's environment."""
    return os.environ.pop("FLYING_PASSENGER_ENCODED_PATH", "") == "1"
