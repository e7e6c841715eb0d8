"""ASGI apps: an event loop that takes any number of requests at a time. Standard library only."""

from .server import AsgiServer

__all__ = ["AsgiServer"]
