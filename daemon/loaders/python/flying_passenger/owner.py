"""The owner pipe, whose end asks the process to exit. A duplicate, because the app may close its standard input."""

import os

STDIN_FD = 0

FD = os.dup(STDIN_FD)


def become(descriptor: int) -> None:
    """In a forked process: another pipe instead, which is the standard input, too."""
    os.dup2(descriptor, STDIN_FD)
    os.dup2(descriptor, FD, inheritable=False)
