#!/usr/bin/env python3
"""What a hostile app does to another one: the 99th percentile of a hello app under a low, steady load, with and without it.

The hello app gets 500 requests/s at a constant rate. In turns with and without, two clients use one hostile app with
two processes (apps/hostile/server.c), which sends 100 Continue without end, and so on. Target: less than 20 ms more. What an
app costs that only uses processors, and to which the daemon does nothing, is the first row.
"""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass

from measure.processes import descendants, usage
from measure.ratios import UNDECIDED, spread
from measure.settings import SECONDS
from measure.stage import Stage, free_port
from measure.turns import Side, take
from servers.ours import daemon_of, ours

RATE, CONNECTIONS = 500, 32
CLIENTS = int(os.environ.get("BENCH_NEIGHBOUR_CLIENTS", "2"))
ROUNDS = int(os.environ.get("BENCH_NEIGHBOUR_ROUNDS", "4"))
LIMIT_MS = 20
HOSTILE = {
    "burn": "for comparison: it only uses processors",
    "continue": "100 Continue without end",
    "chunks": "chunks of one byte without end",
    "drip": "a head that comes byte by byte",
    "headers": "a head of many short headers",
    "frames": "session frames of one byte",
    "bytes": "a body written byte by byte",
    "log": "a flood of lines on standard output",
    "slow-upload": "an upload that it reads byte by byte",
}


@dataclass
class App:
    """A hostile app behind a port of its own."""

    how: str
    port: int


def location(stage, app, listen):
    """Its server. As many processes as clients, which use it at the same time."""
    root = stage.dir / "apps" / app.how
    (root / "public").mkdir(parents=True)
    (root / "config.ru").write_text("# Its interpreter is the hostile program itself.\n")
    program = stage.dir / "apps/hostile/server"
    command = f"passenger_app_start_command {program}; passenger_app_listen fd;"
    start = f"passenger_ruby {program}; passenger_spawn_method direct;" if app.how == "frames" else command
    return (
        f"server {{ listen 127.0.0.1:{app.port}; root {root}/public; client_max_body_size 0; proxy_request_buffering off; "
        f"passenger_enabled on; passenger_fly_with {listen}; passenger_min_instances {CLIENTS}; "
        f"passenger_max_instances {CLIENTS}; passenger_buffer_upload off; passenger_env_var HOSTILE {app.how}; {start} }}\n"
    )


@contextmanager
def under_attack(stage, app):
    """Clients that come again when their request has ended."""
    upload = f"-T {stage.dir}/upload" if app.how == "slow-upload" else ""
    loop = f"while :; do curl -s -o /dev/null {upload} http://127.0.0.1:{app.port}/; sleep 0.01; done"
    clients = [subprocess.Popen(["sh", "-c", loop], start_new_session=True) for _ in range(CLIENTS)]
    try:
        yield
    finally:
        for client in clients:
            os.killpg(client.pid, signal.SIGKILL)
            client.wait()


def compare(stage, hello, app, router):
    """Turns with and without; p99 of each in ms, and the router's share of a processor during the attack."""
    without, beside, shares, failed = [], [], [], 0
    for _ in range(ROUNDS):
        load = {"rate": RATE, "connections": CONNECTIONS, "seconds": SECONDS}
        without.append(take(hello, **load))
        before = usage(router).nanoseconds
        beside.append(take(hello, meanwhile=lambda: under_attack(stage, app), **load))
        shares.append((usage(router).nanoseconds - before) / 1e9 / beside[-1].seconds)
        failed += without[-1].failed + beside[-1].failed
    return [[turn.p99 / 1000 for turn in turns] for turns in (without, beside)], spread(shares).median, failed


def verdict(more):
    """Whether the app waits less than 20 ms longer."""
    if more.high < LIMIT_MS:
        return "holds"
    return "DOES NOT HOLD" if more.low >= LIMIT_MS else UNDECIDED


def main():
    """One table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Stage() as stage:
        program = stage.dir / "apps/hostile/server"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, f"{program}.c"], check=True)
        with open(stage.dir / "upload", "wb") as upload:
            upload.truncate(1 << 30)
        hello = ours(stage, "python")
        apps = [App(how, free_port()) for how in HOSTILE]
        listen, daemon = daemon_of(stage)
        servers = "".join(location(stage, app, listen) for app in apps)
        subprocess.run(["chmod", "-R", "a+rX", stage.dir / "apps"], check=True)
        master = stage.start_nginx(hello.server() + servers)
        stage.wait_for_answer(hello.url + "/")
        count = 2 + CLIENTS * len(apps)
        stage.eventually(f"{count} processes", lambda: stage.serving() == count)
        side = Side(hello.name, hello.port, hello.roles(descendants(master)))
        print(f"\nA hello app at {RATE} requests/s beside a hostile app with {CLIENTS} clients: p99 in ms, {ROUNDS} turns of {SECONDS:g} s")
        print(f"{'':42}{'alone':>8}{'beside':>9}{'worst':>9}{'  more, quartiles':24}{'router':>8}  target < {LIMIT_MS} more")
        failures = 0
        for app in apps:
            (without, beside), share, failed = compare(stage, side, app, side.roles["middle"])
            more = spread(after - before for before, after in zip(without, beside, strict=True))
            medians = f"{spread(without).median:>8.1f}{spread(beside).median:>9.1f}{max(beside):>9.1f}"
            print(f"  {HOSTILE[app.how]:40}{medians}  {more!s:22}{share:>8.2f}  {verdict(more)}"
                  f"{f', {failed} requests failed' if failed else ''}", flush=True)
            failures += failed
        if daemon not in descendants(daemon) or failures:
            stage.fail(f"{failures} requests to the hello app failed")


if __name__ == "__main__":
    main()
