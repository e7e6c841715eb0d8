#!/usr/bin/env python3
"""What many apps cost the daemon: 1 and 200 apps with one process each, and 2,000 configured ones of which one is used.

For each: memory (PSS) of router and supervisor, processor time of both while nothing happens, and the router's processor
time per request, with requests to all running apps in turn. Exits with 1 if idling takes more than 0.1 % of a processor.
BENCH_SECONDS is how long a load takes (3), BENCH_IDLE how long nothing happens (20).
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure.load import parse
from servers.peers import daemon_of
from measure.processes import descendants, is_router, pss_mib
from measure.stage import RELEASE, Stage, free_port

SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
IDLE = int(os.environ.get("BENCH_IDLE", "20"))
ROUNDS = 3
MOST_IDLE_SHARE = 0.001
APP = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello world\\n']\n"
IN_TURN = """
local n, at = %d, 0
request = function()
   at = at %% n + 1
   return wrk.format("GET", "/", { Host = "app" .. at .. ".example" })
end
"""


def run(configured, running):
    """One row."""
    with Stage() as stage:
        for number in range(1, configured + 1):
            (stage.dir / f"apps/{number}/public").mkdir(parents=True)
            (stage.dir / f"apps/{number}/passenger_wsgi.py").write_text(APP)
        subprocess.run(["chmod", "-R", "a+rX", stage.dir / "apps"], check=True)
        listen, daemon = daemon_of(stage)
        port = free_port()
        stage.start_nginx("\n".join([shared(listen), *(server(stage, n, port, running) for n in range(1, configured + 1))]))
        stage.eventually(f"{running} processes", lambda: len(apps_of(daemon)) == running)
        ours = [daemon, *filter(is_router, descendants(daemon))]
        cost = statistics.median(microseconds(stage, port, running, ours[1:]) for _ in range(ROUNDS))
        return pss_mib(ours), idle_share(ours), cost


def shared(listen):
    """What all apps have in common."""
    return (
        f"server_names_hash_max_size 16384; passenger_fly_with {listen}; passenger_max_pool_size 1000; "
        "passenger_python /usr/bin/python3; passenger_spawn_method direct;"
    )


def server(stage, number, port, running):
    """An app's server; the processes of those that run are there before any request."""
    kept = "passenger_min_instances 1;" if number <= running else ""
    return (
        f"server {{ listen 127.0.0.1:{port}; server_name app{number}.example; "
        f"root {stage.dir}/apps/{number}/public; passenger_enabled on; {kept} }}"
    )


def apps_of(daemon):
    """App processes: the supervisor's children besides the router."""
    return [pid for pid in descendants(daemon)[1:] if not is_router(pid) and b"Passenger" in title(pid)]


def title(pid):
    """What ps shows."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def microseconds(stage, port, running, router):
    """The router's processor time per request."""
    script = stage.dir / "in_turn.lua"
    script.write_text(IN_TURN % running)
    before = run_time(router)
    done = subprocess.run(
        ["wrk", "-t1", "-c8", f"-d{SECONDS}s", "--timeout", "20s", "--latency", "-s", script, f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, check=True,
    )
    load = parse(done.stdout)
    if load.failed:
        stage.fail(f"{load.failed} requests failed")
    return (run_time(router) - before) / load.requests / 1000


def idle_share(pids):
    """Share of one processor that is used without requests."""
    time.sleep(2)
    before = run_time(pids)
    time.sleep(IDLE)
    return (run_time(pids) - before) / 1e9 / IDLE


def run_time(pids):
    """Nanoseconds that all threads of these processes have run."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def main():
    """One table."""
    if not (RELEASE / "flying-passenger").exists():
        sys.exit("the programs are missing: make build")
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt: wrk")
    print("| apps configured | running | memory of the daemon (MiB) | idle (% of a processor) | router, CPU per request (µs) |")
    print("| --- | --- | --- | --- | --- |")
    over = False
    for configured, running in ((1, 1), (200, 200), (2000, 1)):
        memory, idle, cost = run(configured, running)
        print(f"| {configured} | {running} | {memory:.1f} | {idle * 100:.3f} | {cost:.0f} |", flush=True)
        over |= idle > MOST_IDLE_SHARE
    if over:
        sys.exit("FAILED: the daemon does something while there is nothing to do")


if __name__ == "__main__":
    main()
