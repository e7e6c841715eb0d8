"""Forks a process for each order on the control socket, with the descriptors that the order passes."""

import array
import ctypes
import os
import select
import signal
import socket
import sys
import time
from typing import NamedTuple, Optional

from . import owner

ORDER_LENGTH = 16
PR_SET_PDEATHSIG = 1

# At once; gevent's waits for its event loop.
_close = os.close


class Handed(NamedTuple):
    """What a process is handed, in the order of docs/APP-PROTOCOL.md."""

    owner: int
    output: int
    listener: int
    report: int
    hello: int


class ForkServer:
    """The preloader's main loop."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._control = socket.socket(fileno=descriptor)
        self._control.setblocking(True)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(owner.FD, select.POLLIN)
        self._daemon = os.getppid()
        self._preloader = os.getpid()

    def run(self) -> Optional[Handed]:
        """Returns in each forked process with what it was handed, and in the preloader, at its end, with None."""
        while True:
            handed = self._order()
            if handed is None:
                self._control.close()
                return None
            if self._fork(handed):
                return handed
            for descriptor in handed:
                _close(descriptor)

    def _order(self) -> Optional[Handed]:
        """The next order's descriptors; None when the daemon wants the preloader to end."""
        if owner.FD in dict(self._poll.poll()):
            return None
        descriptors = array.array("i")
        room = socket.CMSG_SPACE(len(Handed._fields) * descriptors.itemsize)
        text, controls, _, _ = self._control.recvmsg(ORDER_LENGTH, room, socket.MSG_CMSG_CLOEXEC)
        if not text:
            return None
        for _, _, data in controls:
            descriptors.frombytes(data)
        return Handed(*descriptors)

    def _fork(self, handed: Handed) -> bool:
        """True in the new process. It is an orphan, so that it becomes the daemon's child."""
        _flush()
        try:
            middle = os.fork()
            if middle:
                os.waitpid(middle, 0)
                return False
            _become_orphan()
            self._settle(handed)
            return True
        except OSError as error:
            sys.stderr.write(f"no process can be forked: {error}\n")
            sys.stderr.flush()
            if os.getpid() != self._preloader:
                os._exit(1)
            return False

    def _settle(self, handed: Handed) -> None:
        """Become a process as the daemon would have started it, and show it to the daemon."""
        _end_with_parent()
        # If the daemon died before the line above, no signal follows.
        if os.getppid() != self._daemon:
            os._exit(1)
        self._control.close()
        owner.become(handed.owner)
        _close(handed.owner)
        for standard in (1, 2):
            os.dup2(handed.output, standard)
        _close(handed.output)
        with socket.socket(fileno=handed.hello) as hello:
            hello.send(b"hello")


def _flush() -> None:
    """What waits to be written would be written by every process."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # The app has closed or replaced it.
            pass


def _become_orphan() -> None:
    middle = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == middle:
        time.sleep(0.001)


def _end_with_parent() -> None:
    """SIGTERM when the parent dies. Where that cannot be asked for, a busy process ends after its request."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except (OSError, AttributeError):
        pass
