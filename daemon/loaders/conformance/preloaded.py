"""An app process forked by a preloader: ordered as by the supervisor, so that every case applies to it too."""

import ctypes
import os
import select
import socket
import subprocess

from loader import PATIENCE, Loader

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """What a preloader forks becomes this process's child, as it becomes the supervisor's."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Preloaded(Loader):
    """One app process behind a preloader. When the app cannot be loaded, the preloader alone."""

    def __init__(self, command, startup_file, source, env=None, files=None):
        self.control, self.control_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.forked = None
        super().__init__(command, startup_file, source, env, files)
        if self.report == "ready\n":
            self.report = self.fork()

    def first_socket(self, listener):
        """A preloader gets its control socket where others listen."""
        self.listener = listener.dup()
        return self.control_theirs

    def fork(self):
        """Has the process forked; its report."""
        self.control_theirs.close()
        owner_read, self.child_owner = os.pipe()
        report_read, report_write = os.pipe()
        hello, hello_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        hello.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        handed = [owner_read, self.stderr.fileno(), self.listener.fileno(), report_write, hello_theirs.fileno()]
        socket.send_fds(self.control, [b"fork"], handed)
        for descriptor in (owner_read, report_write):
            os.close(descriptor)
        self.listener.close()
        hello_theirs.close()
        os.close(self.report_read)
        self.report_read = report_read
        self.forked = Forked(pid_of(hello))
        return self._read_report()

    def end(self):
        """Ends the process's owner pipe, then the preloader's."""
        if self.forked is not None and self.child_owner is not None:
            os.close(self.child_owner)
            self.child_owner = None
        super().end()

    def wait(self):
        """The process's exit status; the preloader's must be 0."""
        status = super().wait()
        if self.forked is None:
            return status
        assert status == 0, f"the preloader exited with {status}"
        return self.forked.wait(PATIENCE)

    def close(self):
        if self.forked is not None:
            self.forked.kill()
        self.control.close()
        super().close()


class Forked:
    """A process that is a child of this one without having been started by it."""

    def __init__(self, pid):
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.status = None

    def wait(self, seconds):
        """Its exit status."""
        if self.status is None:
            if not select.select([self.pidfd], [], [], seconds)[0]:
                raise subprocess.TimeoutExpired("the forked process", seconds)
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            os.close(self.pidfd)
        return self.status

    def kill(self):
        """Ends it, if it has not ended."""
        if self.status is None:
            os.kill(self.pid, 9)
            self.wait(PATIENCE)


def pid_of(hello):
    """Who says hello, as the kernel attests it."""
    hello.settimeout(PATIENCE)
    text, controls, _, _ = hello.recvmsg(16, socket.CMSG_SPACE(12))
    hello.close()
    assert text == b"hello", text
    [(_, _, credentials)] = controls
    return int.from_bytes(credentials[:4], "little", signed=True)
