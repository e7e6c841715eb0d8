"""Converts a request's environment block to an ASGI scope."""

from typing import Any, Dict, List, Tuple
from urllib.parse import unquote_to_bytes

# What the app may rely on; https://asgi.readthedocs.io/en/latest/specs/www.html
VERSIONS = {"version": "3.0", "spec_version": "2.4"}

# The keys of an HTTP request's scope, in their order.
SCOPE: Dict[str, Any] = {
    "type": "http", "asgi": None, "http_version": None, "scheme": None, "path": None, "raw_path": None, "query_string": None,
    "root_path": None, "headers": None, "client": None, "server": None, "state": None, "extensions": None, "method": None,
}  # fmt: skip

Headers = List[Tuple[bytes, bytes]]

# How the client's protocol is named in a scope.
HTTP_VERSIONS = {b"HTTP/1.0": "1.0", b"HTTP/1.1": "1.1", b"HTTP/2.0": "2", b"HTTP/2": "2", b"HTTP/3.0": "3", b"HTTP/3": "3"}

# What an app may send beside the core of the specification. `early_hint` is the specification's, `informational` gunicorn's.
# Trailers are not among them: the daemon has no frame for them.
HTTP_EXTENSIONS = ("http.response.early_hint", "http.response.informational", "http.response.pathsend")


class Environment:
    """The variables of one request."""

    def __init__(self, block: bytes) -> None:
        parts = iter(block.split(b"\0"))
        self.variables: Dict[bytes, bytes] = dict(zip(parts, parts))

    def text(self, name: bytes) -> str:
        """A variable; empty when it is not there."""
        return self.variables.get(name, b"").decode("latin-1")

    def port(self, name: bytes, default: int) -> int:
        """A port; the default where there is none, or something else, as behind the colon of a client's `Host: a:b`."""
        text = self.variables.get(name, b"")
        return int(text) if text.isdigit() and len(text) <= 5 else default

    def is_websocket(self) -> bool:
        """The client asks for a WebSocket as RFC 6455 has it."""
        get = self.variables.get
        return (
            get(b"HTTP_UPGRADE", b"").lower() == b"websocket"
            and get(b"REQUEST_METHOD") == b"GET"
            and get(b"HTTP_SEC_WEBSOCKET_VERSION") == b"13"
            and bool(get(b"HTTP_SEC_WEBSOCKET_KEY"))
        )

    def headers(self) -> Headers:
        """As they came, in lower case; repeated ones are joined."""
        found = [(name[5:].lower().replace(b"_", b"-"), value) for name, value in self.variables.items() if name[:5] == b"HTTP_"]
        for name in (b"CONTENT_TYPE", b"CONTENT_LENGTH"):
            if name in self.variables:
                found.append((name.lower().replace(b"_", b"-"), self.variables[name]))
        return found

    def _path(self) -> Tuple[bytes, str]:
        """As it was written, and what it means; both with the base URI."""
        raw = self.variables.get(b"REQUEST_URI", b"/").split(b"?", 1)[0]
        return raw, unquote_to_bytes(raw).decode("utf-8", "replace")

    def scope(self, kind: str, state: Dict[str, Any]) -> Dict[str, Any]:
        """The scope of a request (`http`) or of a WebSocket."""
        raw, path = self._path()
        secure = self.variables.get(b"HTTPS") == b"on"
        scheme = "ws" if kind == "websocket" else "http"
        scope: Dict[str, Any] = {
            "type": kind,
            "asgi": dict(VERSIONS),
            "http_version": HTTP_VERSIONS.get(self.variables.get(b"SERVER_PROTOCOL", b""), "1.1"),
            "scheme": scheme + "s" if secure else scheme,
            "path": path,
            "raw_path": raw,
            "query_string": self.variables.get(b"QUERY_STRING", b""),
            "root_path": self.variables.get(b"SCRIPT_NAME", b"").decode("utf-8", "replace"),
            "headers": self.headers(),
            "client": (self.text(b"REMOTE_ADDR"), self.port(b"REMOTE_PORT", 0)),
            "server": (self.text(b"SERVER_NAME"), self.port(b"SERVER_PORT", 443 if secure else 80)),
            "state": dict(state),
            "extensions": {},
        }
        if kind == "http":
            scope["method"] = self.text(b"REQUEST_METHOD")
            scope["extensions"].update((name, {}) for name in HTTP_EXTENSIONS)
        else:
            offered = self.text(b"HTTP_SEC_WEBSOCKET_PROTOCOL").split(",")
            scope["subprotocols"] = [name.strip() for name in offered if name.strip()]
            scope["extensions"]["websocket.http.response"] = {}
        return scope
