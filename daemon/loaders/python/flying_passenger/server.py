"""Accepts connections from the daemon, one for each thread, until the owner pipe ends."""

import errno
import faulthandler
import os
import queue
import signal
import socket
import threading
import time
from typing import Any, Callable, Optional, Type

from . import owner, waiting
from .connection import Connection, Lost
from .environment import Environments
from .handler import RequestHandler
from .native import Native
from .report import STDERR_FD, Report

NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
# Seconds between two attempts to take a connection without a descriptor left.
PAUSE = 0.05


class Server:
    """The process's main loop."""

    def __init__(self, descriptor: int, app: Any, threads: int, encoded_path: bool, native: Native) -> None:
        os.set_inheritable(descriptor, False)
        self._listener = socket.socket(fileno=descriptor)
        self._listener.setblocking(False)
        self._app = app
        self._threads = threads
        self._environments = Environments(threads > 1, encoded_path)
        self._connection: Callable[[socket.socket], Connection] = Connection
        self._handler: Type[RequestHandler] = RequestHandler
        module = native.usable(patchable=True)
        if module is not None:
            # What is not used need not be loaded.
            from .native_wsgi import classes

            self._connection, self._handler = classes(module)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        faulthandler.register(signal.SIGQUIT, file=STDERR_FD, all_threads=True, chain=False)

    def run(self, reporter: Report) -> None:
        """Serve until the daemon wants the process to end."""
        with self._listener:
            if self._threads == 1:
                reporter.ready()
                self._serve()
            else:
                reporter.ready(self._threads)
                self._serve_in_threads()

    def _serve(self) -> None:
        poll = waiting.for_reading(self._listener, owner.FD)
        while True:
            connection = self._accept(poll)
            if connection is None:
                return
            self._handler(connection, self._app, self._environments).serve()

    def _serve_in_threads(self) -> None:
        ended: queue.SimpleQueue[Optional[BaseException]] = queue.SimpleQueue()

        def work() -> None:
            try:
                self._serve()
            except BaseException as error:  # pylint: disable=broad-except
                # What no request can answer for ends the process, as it does without threads.
                ended.put(error)
            else:
                ended.put(None)

        for number in range(self._threads):
            threading.Thread(target=work, name=f"worker {number + 1}", daemon=True).start()
        for _ in range(self._threads):
            error = ended.get()
            if error is not None:
                raise error

    def _accept(self, poll: Any) -> Optional[Connection]:
        while True:
            ready = dict(poll.poll())
            if owner.FD in ready:
                return None
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                # The process ends, but not before the requests of other threads are answered.
                if error.errno not in NO_DESCRIPTORS or not RequestHandler.under_way:
                    raise
                time.sleep(PAUSE)
                continue
            peer.setblocking(True)
            try:
                return self._connection(peer)
            except Lost:
                # The daemon closed it before it was taken.
                peer.close()
