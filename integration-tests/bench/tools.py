#!/usr/bin/env python3
"""How long the tools take with 200 app processes: while nothing happens, and while all of them are busy and every queue is full.

For each tool: median, 99th percentile and longest of BENCH_CALLS (20) calls, its start included, with a pause before each so
that no cached answer is used. Meanwhile /ping.json is requested continuously, which shows how long the router is blocked.
Exits with 1 if a median is 50 ms or more.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

from measure.load import parse
from measure.stage import Stage, free_port
from servers.ours import daemon_of

CALLS = int(os.environ.get("BENCH_CALLS", "20"))
# For longer than the daemon keeps what it has read of processes.
PAUSE = 0.5
APPS, EACH, QUEUE = 4, 50, 100
PROCESSES = APPS * EACH
LIMIT_MS = 50
IN_TURN = """
local n, at = %d, 0
request = function()
   at = at %% n + 1
   return wrk.format("GET", "/busy", { Host = "app" .. at .. ".example" })
end
"""
TOOLS = {
    "passenger-status": ["passenger-status"],
    "passenger-status --show=json": ["passenger-status", "--show=json"],
    "passenger-status --show=xml": ["passenger-status", "--show=xml"],
    "passenger-status --show=requests": ["passenger-status", "--show=requests"],
    "passenger-config settings": ["passenger-config", "settings"],
    "passenger-config list-instances": ["passenger-config", "list-instances"],
    "passenger-config api-call GET /metrics": ["passenger-config", "api-call", "GET", "/metrics"],
    "passenger-memory-stats": ["passenger-memory-stats"],
}


class Ping:
    """Asks for /ping.json again and again; the times that this takes."""

    def __init__(self, path):
        self.path, self.times, self.over = str(path), [], threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.over.is_set():
            began = time.perf_counter()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.path)
                client.sendall(b"GET /ping.json HTTP/1.1\r\n\r\n")
                while client.recv(4096):
                    pass
            self.times.append((time.perf_counter() - began) * 1000)
            self.over.wait(0.001)

    def stop(self):
        """The times."""
        self.over.set()
        self.thread.join()
        return self.times


def run():
    """Prints the table; true when every target holds."""
    with Stage() as stage:
        compile_app(stage)
        for number in range(1, APPS + 1):
            (stage.dir / f"apps/{number}/public").mkdir(parents=True)
        subprocess.run(["chmod", "-R", "a+rX", stage.dir / "apps"], check=True)
        listen, _ = daemon_of(stage)
        port = free_port()
        stage.start_nginx("\n".join([shared(listen), *(server(stage, n, port) for n in range(1, APPS + 1))]))
        stage.eventually(f"{PROCESSES} processes", lambda: listed(stage) == PROCESSES)
        idle = {name: measure(stage, words) for name, words in TOOLS.items()}
        load = begin_load(stage, port)
        stage.eventually("all to be busy, and every queue full", lambda: is_saturated(stage))
        busy = {name: measure(stage, words) for name, words in TOOLS.items()}
        saturated = is_saturated(stage)
        report = end_load(load)
    if not saturated or report.failed:
        sys.exit(f"FAILED: the pool was not saturated all the time, or {report.failed} requests failed")
    return print_table(idle, busy)


def compile_app(stage):
    """A small app, so that figures are the tools' own and not those of what apps hold."""
    small = stage.dir / "apps/small"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", small / "server", small / "server.c"], check=True)


def shared(listen):
    """What all apps have in common."""
    return (
        f"passenger_fly_with {listen}; passenger_max_pool_size {PROCESSES}; "
        f"passenger_min_instances {EACH}; passenger_max_instances {EACH}; passenger_app_listen fd; "
        f"passenger_force_max_concurrent_requests_per_process 1; passenger_max_request_queue_size {2 * QUEUE};"
    )


def server(stage, number, port):
    """An app's server."""
    return (
        f"server {{ listen 127.0.0.1:{port}; server_name app{number}.example; "
        f"root {stage.dir}/apps/{number}/public; passenger_enabled on; "
        f"passenger_app_start_command {stage.dir}/apps/small/server; }}"
    )


def call(stage, words):
    """Runs a tool, which must succeed; what it prints."""
    done = subprocess.run(
        [stage.build.programs / words[0], *words[1:]], capture_output=True, text=True, check=False,
        env={**os.environ, "PASSENGER_INSTANCE_REGISTRY_DIR": str(stage.registry)},
    )
    if done.returncode:
        stage.fail(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def listed(stage):
    """Processes that passenger-status shows."""
    return call(stage, ["passenger-status"]).count("* PID:")


def is_saturated(stage):
    """Whether all processes are busy and requests wait for each app."""
    status = call(stage, ["passenger-status"])
    queues = [int(line.rpartition(":")[2]) for line in status.splitlines() if "Requests in queue" in line]
    return status.count("Sessions: 1 ") > 0.95 * PROCESSES and min(queues) > QUEUE // 2


def begin_load(stage, port):
    """As many clients as processes and places in queues."""
    script = stage.dir / "in_turn.lua"
    script.write_text(IN_TURN % APPS)
    connections = PROCESSES + APPS * QUEUE
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", "-d600s", "--timeout", "60s", "--latency", "-s", script,
         f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True,
    )


def end_load(load):
    """What wrk met."""
    load.send_signal(2)
    return parse(load.communicate()[0])


def measure(stage, words):
    """Milliseconds of each call, and of each ping meanwhile."""
    registry = next(stage.registry.iterdir())
    ping = Ping(registry / "admin.sock")
    times = []
    for _ in range(CALLS):
        time.sleep(PAUSE)
        began = time.perf_counter()
        call(stage, words)
        times.append((time.perf_counter() - began) * 1000)
    return times, ping.stop()


def figures(times):
    """Median, 99th percentile, longest."""
    ordered = sorted(times)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], ordered[-1]


def print_table(idle, busy):
    """Rows for docs/PERFORMANCE.md."""
    print("| tool | idle: median, p99, max (ms) | saturated: median, p99, max (ms) | longest ping meanwhile (ms) |")
    print("| --- | --- | --- | --- |")
    holds = True
    for name in TOOLS:
        cells = []
        for times, _ in (idle[name], busy[name]):
            cells.append(", ".join(f"{value:.1f}" for value in figures(times)))
            holds &= figures(times)[0] < LIMIT_MS
        longest = ", ".join(f"{max(pings):.1f}" for _, pings in (idle[name], busy[name]))
        print(f"| `{name}` | {cells[0]} | {cells[1]} | {longest} |", flush=True)
    return holds


def main():
    """One table, and whether the target holds."""
    for program in ("wrk", "gcc"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt: {program}")
    if not run():
        sys.exit(f"FAILED: a tool takes {LIMIT_MS} ms or more")


if __name__ == "__main__":
    main()
