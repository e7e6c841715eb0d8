"""What processes cost, read from /proc: processor time, memory, children."""

import os
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


def cpu_seconds(pids):
    """User and system time of these processes, all threads, since they began."""
    return sum(int(ticks) for pid in pids for ticks in _stat(pid)[11:13]) / TICK


def cpu_nanoseconds(pids):
    """Processor time of these processes, all threads, from the scheduler: precise enough for short runs."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


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


def threads(pids):
    """Thread IDs of these processes."""
    return [int(task) for pid in pids for task in os.listdir(f"/proc/{pid}/task")]


def is_traced(thread):
    """Whether a tracer is attached to this thread."""
    return "TracerPid:\t0\n" not in Path(f"/proc/{thread}/status").read_text()
