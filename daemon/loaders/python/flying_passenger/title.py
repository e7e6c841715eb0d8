"""The process's title: what `ps` shows instead of the command line."""

import ctypes


def set_title(title: str) -> None:
    """Write `title` over the command line. Where that cannot be done, nothing happens: it is only for people."""
    try:
        _overwrite(title.encode("utf-8", "replace"))
    except (OSError, ValueError, IndexError, AttributeError):
        pass


def _overwrite(title: bytes) -> None:
    with open("/proc/self/stat", "rb") as stat:
        # The name in parentheses may hold anything; fields are counted behind it. See proc(5): arg_start, arg_end.
        fields = stat.read().rsplit(b")", 1)[1].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if start <= 0 or room <= 1:
        return
    data = title[: room - 1]
    ctypes.memmove(start, data + b"\0" * (room - len(data)), room)
