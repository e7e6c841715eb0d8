"""What processes cost, read from /proc: processor time, context switches, memory, children."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def descendants(pid):
    """All processes below this one, itself first."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat(entry)[1]), []).append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def is_router(pid):
    """Whether it is the daemon's router."""
    return b"router" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2]


@dataclass(frozen=True)
class Usage:
    """Processor time and context switches, voluntary and not."""

    nanoseconds: int
    switches: int

    def __sub__(self, before):
        return Usage(self.nanoseconds - before.nanoseconds, self.switches - before.switches)


def usage(pids):
    """Of these processes, all threads; the time is the scheduler's, which is precise enough for short runs."""
    nanoseconds = switches = 0
    for task in _tasks(pids):
        try:
            nanoseconds += int((task / "schedstat").read_text().split()[0])
            status = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        switches += sum(map(int, re.findall(r"ctxt_switches:\t(\d+)", status)))
    return Usage(nanoseconds, switches)


def _tasks(pids):
    for pid in pids:
        try:
            yield from Path(f"/proc/{pid}/task").iterdir()
        except FileNotFoundError:
            continue


def pss_mib(pids):
    """Proportional set size: shared memory is divided among its users."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def machine_busy_seconds():
    """Processor time that the whole machine has spent."""
    user, nice, system, _idle, _wait, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICK


def own_children_seconds(pid):
    """Processor time of this process and of its load generator, which belong to the measurement."""
    own = os.times()
    return own.user + own.system + usage([pid]).nanoseconds / 1e9


def threads(pids):
    """Thread IDs of these processes."""
    return [int(task.name) for task in _tasks(pids)]


def is_traced(thread):
    """Whether a tracer is attached to this thread."""
    return "TracerPid:\t0\n" not in Path(f"/proc/{thread}/status").read_text()
