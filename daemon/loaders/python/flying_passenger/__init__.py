"""The daemon's side of a Python app process. Standard library only. Apps may use `on_event`."""

from .events import on_event

__all__ = ["on_event"]
