"""Takes connections from the daemon, one at a time, until descriptor 0 ends."""

import faulthandler
import os
import select
import signal
import socket
from typing import Any, Optional

from .connection import Connection
from .handler import RequestHandler
from .report import Report

OWNER_FD = 0


class Server:
    """The process's main loop."""

    def __init__(self, descriptor: int, app: Any) -> None:
        os.set_inheritable(descriptor, False)
        self._listener = socket.socket(fileno=descriptor)
        self._listener.setblocking(False)
        self._app = app
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(OWNER_FD, select.POLLIN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        faulthandler.register(signal.SIGQUIT, all_threads=True, chain=False)

    def run(self, reporter: Report) -> None:
        """Serve until the daemon wants the process to end."""
        reporter.ready()
        with self._listener:
            while True:
                connection = self._accept()
                if connection is None:
                    return
                RequestHandler(connection, self._app).serve()

    def _accept(self) -> Optional[Connection]:
        while True:
            ready = dict(self._poll.poll())
            if OWNER_FD in ready:
                return None
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                continue
            peer.setblocking(True)
            return Connection(peer)
