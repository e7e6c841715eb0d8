"""Load from wrk, and what it reports."""

import re
import resource
import subprocess
from dataclasses import dataclass

MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


@dataclass
class Load:
    """One run of wrk."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int
    cpu_seconds: float


def wrk(url, connections, seconds):
    """Runs wrk with one thread."""
    before = _children_cpu()
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", url],
        capture_output=True, text=True, check=True,
    )
    return parse(done.stdout, _children_cpu() - before)


def parse(text, cpu_seconds):
    requests, took = re.search(r"(\d+) requests in ([\d.]+[sm])", text).groups()
    failed = 0
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if errors:
        failed += sum(map(int, errors.groups()))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if refused:
        failed += int(refused[1])
    return Load(int(requests), _microseconds(took) / 1e6, _percentile(text, 50), _percentile(text, 99), failed, cpu_seconds)


def _percentile(text, percent):
    return _microseconds(re.search(rf"^\s+{percent}%\s+(\S+)", text, re.MULTILINE)[1])


def _microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * MICROSECONDS[unit]


def _children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
