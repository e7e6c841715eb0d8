#!/usr/bin/env python3
"""Runs benchmarks and writes what they print into docs/PERFORMANCE.md, between `<!-- bench:NAME -->` and `<!-- end -->`.

    make bench-record [NAMES="bench scale"] [BASE=/path/to/checkout]

Without names: machine, bench, compare (if BASE is set), latency, scale, scheduling and instructions. Others are syscalls,
spawning and tools.
Blocks are written one by one, so that what was measured is not lost. That of a benchmark that fails says so; without any output
it stays as it was.
"""

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from measure.build import ROOT
from measure.stage import NGINX

PAGE = ROOT / "docs/PERFORMANCE.md"
HERE = Path(__file__).parent
USUAL = ("machine", "bench", "compare", "latency", "scale", "scheduling", "instructions")
PROGRAMS = ("bench", "compare", "latency", "scale", "scheduling", "instructions", "syscalls", "spawning", "tools")
VERSIONS = (
    [NGINX, "-v"], ["ruby", "--version"], ["/usr/bin/python3", "--version"], ["node", "--version"], ["puma", "--version"],
    ["gunicorn", "--version"], ["uwsgi", "--version"], [ROOT / "target/bench-venv/bin/granian", "--version"],
    [ROOT / "target/bench-venv/bin/uvicorn", "--version"], [os.environ.get("UNITD", "unitd"), "--version"],
)


def blocks(text):
    """Names of the page's blocks."""
    return re.findall(r"<!-- bench:(\w+) -->", text)


def replaced(text, name, content):
    """The page with another content of a block."""
    pattern = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise KeyError(name)
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text, count=1)


def machine():
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1]) / 1024 / 1024
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    lines = [
        f"{system[1] if system else platform.system()}, kernel {platform.release()}, {os.cpu_count()} processors "
        f"({model[1] if model else platform.machine()}), {memory:.0f} GiB",
        ", ".join(filter(None, map(version, VERSIONS))),
    ]
    return "\n".join(f"* {line}" for line in lines)


def version(command):
    """The first line that a program prints about itself; nothing if it is not there."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError:
        return None
    line = next(iter(done.stdout.splitlines()), "")
    found = re.search(r"\d+(\.\d+)+", line)
    return f"{Path(command[0]).name} {found[0]}" if found else None


def measured(name):
    """Runs a benchmark; its block, or None without output, and whether it has failed."""
    start, load, began = time.monotonic(), os.getloadavg()[0], time.strftime("%d %B %Y, %H:%M").lstrip("0")
    print(f"== {name}", flush=True)
    with subprocess.Popen([sys.executable, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True) as child:
        lines = []
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if not lines:
        return None, True
    command = "make bench" if name == "bench" else f"make bench-{name}"
    # Some print tables of Markdown.
    fence = [] if lines and lines[0].startswith("|") else ["```"]
    output = "\n".join([*fence, *lines, *fence])
    failed = f" It failed, with exit status {child.returncode}." if child.returncode else ""
    took = time.monotonic() - start
    return f"`{command}`, {began}, {took:.0f} s; load average before: {load:.2f}.{failed}\n\n{output}", bool(child.returncode)


def main():
    """The blocks that are named, or the usual ones."""
    names = sys.argv[1:] or [name for name in USUAL if name != "compare" or os.environ.get("BASE")]
    unknown = [name for name in names if name != "machine" and name not in PROGRAMS]
    if unknown:
        sys.exit(f"no such benchmark: {' '.join(unknown)}; there are machine {' '.join(PROGRAMS)}")
    failed = []
    for name in names:
        content, has_failed = (machine(), False) if name == "machine" else measured(name)
        failed += [name] * has_failed
        if content is None:
            continue
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, content), encoding="utf-8")
    if failed:
        sys.exit(f"FAILED: {' '.join(failed)}")


if __name__ == "__main__":
    main()
