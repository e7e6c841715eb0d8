"""What waits until a descriptor can be read, whichever library has replaced the standard library's functions."""

import select
from typing import Any

# Taken at import, as eventlet removes both: its own `select` takes no descriptor for which another greenlet waits.
_POLL = select.poll
_READABLE = select.POLLIN


def for_reading(*descriptors: Any) -> Any:
    """A poll object. gevent's, where it has replaced it, lets greenlets run meanwhile."""
    poll = getattr(select, "poll", _POLL)()
    for descriptor in descriptors:
        poll.register(descriptor, _READABLE)
    return poll
