"""Where the matrix keeps what it has built."""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def script(name):
    return os.path.join(HERE, name)


def of(nginx, file):
    """A file that belongs to an nginx of the matrix."""
    return os.path.join(ROOT, "target", "matrix", nginx, file)


def module(nginx):
    """The module that was built for it."""
    return of(nginx, "module/debug/libngx_http_passenger_module.so")
