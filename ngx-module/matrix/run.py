#!/usr/bin/env python3
"""Builds the module for every nginx of the matrix and tests it there; then tests that it refuses nginxes it is not for.

    usage: run.py [NAME...]        `nginxes.sh` lists the names; `newest` is the newest that can be had; none: all

Everything is below target/matrix, logs too. Ends with a table and a line with the number of tests. An nginx that cannot be had
is reported as skipped, but those that any machine can have are reported as failed.
"""

import dataclasses
import glob
import os
import re
import subprocess
import sys
import textwrap
import time

import guard
import place

# The one that is installed, and one that cargo brings.
REQUIRED = {"debian", "1.28"}
UNAVAILABLE = 3
TOTALS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)


@dataclasses.dataclass
class Row:
    """A line of the table."""

    name: str
    version: str = "-"
    cells: dict = dataclasses.field(default_factory=dict)
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def count(self, cell, output, succeeded):
        """Takes over the totals with which a test ended; one that did not come to them has failed."""
        found = TOTALS.findall(output)
        passed, failed, skipped = (int(number or 0) for number in found[-1]) if found else (0, 0, 0)
        if not succeeded and not failed:
            failed = 1
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        self.cells[cell] = f"{failed} FAILED" if failed else f"{passed} passed"


def step(row, cell, command, **options):
    """Runs a command with a separate log, and shows the end of the log if it fails. Returns success and output."""
    log = place.of(row.name, f"{cell}.log")
    start = time.monotonic()
    with open(log, "w", encoding="utf-8") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False, **options).returncode
    with open(log, encoding="utf-8", errors="replace") as file:
        output = file.read()
    print(f"nginx {row.name}: {cell}, {time.monotonic() - start:.0f} s{'' if status == 0 else ': FAILED'}", flush=True)
    if status:
        print(textwrap.indent(output[-6000:], "    "), f"(all of it is in {os.path.relpath(log)})", sep="\n", flush=True)
    return status == 0, output


def obtain(name):
    """Whether the nginx is there now, and else why it cannot be."""
    with subprocess.Popen([place.script("nginxes.sh"), name], stdout=subprocess.PIPE, text=True) as process:
        last = ""
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip()
    if process.returncode == UNAVAILABLE and name not in REQUIRED:
        return False, last
    assert process.returncode == 0, last
    return True, None


def build(row):
    environment = dict(
        os.environ,
        NGINX_SOURCE_DIR=place.of(row.name, "source"),
        NGINX_BUILD_DIR=place.of(row.name, "source/objs"),
        CARGO_TARGET_DIR=place.of(row.name, "module"),
    )
    command = ["cargo", "build", "-j2", "-p", "flying-passenger-ngx-module", "--features", "panic-probe"]
    succeeded, _ = step(row, "build", command, cwd=place.ROOT, env=environment)
    row.cells["build"] = "ok" if succeeded else "FAILED"
    row.failed += not succeeded
    return environment if succeeded else None


def test(row):
    environment = build(row)
    if not environment:
        return
    tests = place.ROOT + "/ngx-module/tests"
    smoke = [sys.executable, f"{tests}/smoke.py", place.module(row.name), place.of(row.name, "nginx")]
    succeeded, output = step(row, "smoke", smoke)
    row.count("smoke", output, succeeded)
    bindings = glob.glob(place.of(row.name, "module/debug/build/flying-passenger-ngx-module-*/out/bindings.rs"))
    bitfields = [sys.executable, f"{tests}/bitfields.py", max(bindings, key=os.path.getmtime)]
    succeeded, output = step(row, "bit-fields", bitfields, env=environment)
    row.count("bit-fields", output, succeeded)


def run(name):
    row = Row(name)
    try:
        available, reason = obtain(name)
        if not available:
            print(f"nginx {name}: SKIPPED: {reason}", flush=True)
            row.skipped += 1
            row.cells |= {"build": "SKIPPED", "why": reason}
            return row
        row.version = guard.version(place.of(name, "nginx"))
        test(row)
    except (AssertionError, OSError, subprocess.CalledProcessError) as error:
        print(f"nginx {name}: FAILED: {error}", flush=True)
        row.failed += 1
        row.cells |= {"build": "FAILED", "why": str(error)}
    return row


def run_guard(built):
    """The guard's tests, as far as what they need was built."""
    row = Row("guard")
    os.makedirs(place.of(row.name, ""), exist_ok=True)
    succeeded, output = step(row, "refusals", [sys.executable, place.script("guard.py"), *sorted(built)])
    row.count("refusals", output, succeeded)
    return row


def newest(names):
    """The rows up to the first nginx, from the newest down, that could be had."""
    rows = []
    for name in reversed(names):
        rows.append(run(name))
        if rows[-1].version != "-":
            break
    return rows


def table(rows):
    columns = ["nginx", "version", "build", "smoke", "bit-fields", "refusals"]
    lines = [[*columns, ""]]
    for row in rows:
        cells = [row.cells.get(cell, "-") for cell in columns[2:]]
        lines.append([row.name, row.version, *cells, row.cells.get("why", "")])
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns) + 1)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    known = subprocess.run([place.script("nginxes.sh")], check=True, capture_output=True, text=True).stdout.split()
    wanted = sys.argv[1:] or known
    if wanted == ["newest"]:
        rows = newest(known)
    else:
        unknown = set(wanted) - set(known)
        assert not unknown, f"the matrix has no nginx {' '.join(unknown)}; it has: {' '.join(known)}"
        rows = [run(name) for name in known if name in wanted]
        built = {row.name for row in rows if row.cells.get("build") == "ok"}
        if guard.concerns(built):
            rows.append(run_guard(built))
    table(rows)
    passed, failed, skipped = (sum(getattr(row, what) for row in rows) for what in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
