"""Load from load/load.c and what it reports; load from wrk, for the commands that need no short turns."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from measure.build import ROOT

SOURCE = Path(__file__).parents[1] / "load/load.c"
PROGRAM = ROOT / "target/bench-load"
MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


@dataclass
class Load:
    """One run. Times are microseconds."""

    requests: int
    seconds: float
    failed: int
    p50: float
    p99: float
    p999: float = 0
    max: float = 0
    bytes: int = 0


class Generator:
    """A load generator whose connections are open; `run` is the measured part. Use it in a `with` statement."""

    def __init__(self, port, path="/", connections=16, seconds=1.0, rate=None, hosts=0, ramp=False, processors=None):
        command = [_program(), f"-c{connections}", f"-d{seconds}", f"-n{hosts}"]
        if rate:
            command.append(f"-r{rate}")
        if ramp:
            command.append("-w")
        self.child = subprocess.Popen(
            [*map(str, command), str(port), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        if processors:
            os.sched_setaffinity(self.child.pid, processors)

    def __enter__(self):
        if self.child.stdout.readline() != "ready\n":
            raise ChildProcessError("the load generator could not open its connections")
        return self

    def __exit__(self, *_):
        # Its connections are closed when its input ends.
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait()

    def begin(self):
        """Starts the load."""
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def measuring(self):
        """With `ramp`: waits until as many requests are answered as there are connections."""
        self.child.stdout.readline()

    def result(self):
        """Waits for its end."""
        line = self.child.stdout.readline()
        return Load(**json.loads(line if line != "measuring\n" else self.child.stdout.readline()))


def run(port, path="/", **options):
    """Load without anything measured around it."""
    with Generator(port, path, **options) as generator:
        generator.begin()
        return generator.result()


def _program():
    """The compiled generator, made again when its source is newer."""
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < SOURCE.stat().st_mtime:
        PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", PROGRAM, SOURCE], check=True)
    return PROGRAM


def wrk(url, connections, seconds):
    """Runs wrk with one thread."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", url],
        capture_output=True, text=True, check=True,
    )
    return parse(done.stdout)


def parse(text):
    """What wrk has printed."""
    requests, took = re.search(r"(\d+) requests in ([\d.]+[sm])", text).groups()
    failed = 0
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if errors:
        failed += sum(map(int, errors.groups()))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if refused:
        failed += int(refused[1])
    return Load(int(requests), _microseconds(took) / 1e6, failed, _percentile(text, 50), _percentile(text, 99))


def _percentile(text, percent):
    return _microseconds(re.search(rf"^\s+{percent}%\s+(\S+)", text, re.MULTILINE)[1])


def _microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * MICROSECONDS[unit]
