"""Callbacks at moments of a process's life, which the app asks for with `flying_passenger.on_event`."""

from typing import Any, Callable, Dict, List, TypeVar

EVENTS = ("starting_worker_process", "stopping_worker_process")

F = TypeVar("F", bound=Callable[..., Any])

_callbacks: Dict[str, List[Callable[..., Any]]] = {name: [] for name in EVENTS}


def on_event(name: str) -> Callable[[F], F]:
    """A decorator: the function is called at this event. `starting_worker_process` passes whether the process was forked."""
    if name not in _callbacks:
        raise ValueError(f"there is no event {name!r}: it must be one of {', '.join(EVENTS)}")

    def register(callback: F) -> F:
        _callbacks[name].append(callback)
        return callback

    return register


def call(name: str, *arguments: Any) -> None:
    """Call what was registered, in order."""
    for callback in _callbacks[name]:
        callback(*arguments)
