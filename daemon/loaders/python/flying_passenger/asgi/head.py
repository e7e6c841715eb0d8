"""An app's status and headers as the payload of a HEAD frame."""

from typing import Any, Iterable, List, Tuple

from ..response import InvalidResponse

BODILESS = (204, 304)


def payload(status: int, headers: Iterable[Tuple[bytes, bytes]], length: int = -1) -> bytes:
    """`STATUS NUL name NUL value …`. A known `length` becomes a Content-Length, unless the app sets one."""
    parts: List[Any] = [b"%d" % status]
    has_length = False
    for name, value in headers:
        if len(name) in (14, 17):
            lower = bytes(name).lower()
            if lower == b"transfer-encoding":
                # ASGI: "the server must ignore it". The body is not in chunks.
                continue
            has_length = has_length or lower == b"content-length"
        parts.append(name)
        parts.append(value)
    if length >= 0 and not has_length and status not in BODILESS:
        parts += (b"content-length", b"%d" % length)
    text = b"\0".join(parts)
    # One look at the whole finds what would be read as another header.
    if text.count(b"\0") != len(parts) - 1 or b"\r" in text or b"\n" in text:
        raise InvalidResponse("a response header contains a line break or NUL")
    return text
