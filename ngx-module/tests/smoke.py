#!/usr/bin/env python3
"""The module in a real nginx, against a daemon that misbehaves on demand.

    usage: smoke.py libngx_http_passenger_module.so [nginx] [test...]

Needs nginx and Python's standard library. The module is best built with `--features panic-probe`. Ends with a line
with the number of passed tests.
"""

import os
import shutil
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases_configuration
import cases_life
import cases_requests
import cases_responses
import fake_daemon
import world
from stage import DIR, SOCKET

CASES = (cases_requests, cases_responses, cases_life, cases_configuration)


def run(test):
    """Why it was skipped or how it failed; both are None when it passed."""
    world.daemon.reset_counts()
    world.log.mark()
    try:
        skipped = test()
        alarms = [line for line in world.log.text().splitlines() if "[alert]" in line or "[emerg]" in line]
        assert not alarms, alarms
    except Exception:
        return None, f"{traceback.format_exc()}\n{world.log.text()[-3000:]}"
    return skipped, None


def main():
    wanted = sys.argv[3:]
    world.daemon = fake_daemon.Daemon(SOCKET)
    tests = {name[5:]: test for cases in CASES for name, test in vars(cases).items() if name.startswith("test_")}
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    try:
        world.nginx.start(world.usual_site())
        for name, test in tests.items():
            if wanted and not any(word in name for word in wanted):
                continue
            # A fault that only a sanitizer sees, for the one run that must see it.
            if name == "overrun" and not wanted:
                continue
            skipped, failure = run(test)
            verdict = "FAILED" if failure else "skipped" if skipped else "ok"
            counts[verdict] += 1
            print(verdict, name, skipped or failure or "", flush=True)
    finally:
        world.nginx.stop()
        output = world.nginx.errors() if world.nginx.process else ""
        print(output, end="")
    if counts["FAILED"]:
        print(f"kept {DIR}")
    else:
        shutil.rmtree(DIR)
    print(f"{counts['ok']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
