"""Waits until a descriptor is readable, whichever library has replaced functions of the standard library."""

import select
from typing import Any

# Taken at import, as eventlet removes both: its own `select` takes no descriptor for which another greenlet waits.
_POLL = select.poll
_READABLE = select.POLLIN


def for_reading(*descriptors: Any) -> Any:
    """A poll object. If gevent has replaced it, other greenlets run while it waits."""
    poll = getattr(select, "poll", _POLL)()
    for descriptor in descriptors:
        poll.register(descriptor, _READABLE)
    return poll
