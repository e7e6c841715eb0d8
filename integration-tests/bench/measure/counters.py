"""System calls per request by role, counted by the kernel: `perf stat` on the processes of each role, which costs little."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

EVENT = "raw_syscalls:sys_enter"


class Counter:
    """perf stat on some processes. It counts from `enable` to `stop`."""

    def __init__(self, pids, directory):
        self.output = directory / "perf"
        read_order, self.orders = os.pipe()
        self.answers, write_answer = os.pipe()
        self.child = subprocess.Popen(
            ["perf", "stat", "-x,", "-o", self.output, "-e", EVENT, "-D", "-1", "-p", ",".join(map(str, pids)),
             "--control", f"fd:{read_order},{write_answer}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            pass_fds=(read_order, write_answer),
        )
        os.close(read_order)
        os.close(write_answer)

    def order(self, word):
        """Has perf carry it out."""
        os.write(self.orders, f"{word}\n".encode())
        if not os.read(self.answers, 64):
            raise ChildProcessError(f"perf has ended: {self.child.stderr.read()}")

    def stop(self):
        """How many calls there were."""
        self.order("disable")
        self.child.send_signal(signal.SIGINT)
        self.child.wait()
        row = next(line for line in self.output.read_text().splitlines() if EVENT in line)
        # It prints words where none of the processes has run.
        count = row.split(",")[0]
        return int(count) if count.isdigit() else 0

    def close(self):
        """Ends perf if it still runs."""
        self.child.kill()
        self.child.wait()
        self.child.stderr.close()
        os.close(self.orders)
        os.close(self.answers)


def works():
    """Whether perf can count here: it needs the program and the right to see tracepoints."""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", EVENT, "true"], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stderr.split(",")[0].isdigit()


@contextmanager
def counting(roles, into):
    """Counts within the block; fills `into`, a dictionary of calls by role."""
    with ExitStack() as stack:
        counters = {}
        for role, pids in ((role, pids) for role, pids in roles.items() if pids):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fp-bench-perf.")))
            counters[role] = Counter(pids, directory)
            stack.callback(counters[role].close)
        for counter in counters.values():
            counter.order("enable")
        yield
        into.update({role: counter.stop() for role, counter in counters.items()})
