"""Loads a Python app once and forks the processes that serve it: descriptor 3 brings orders, descriptor 4 reports
(docs/APP-PROTOCOL.md, "Preloaders").
"""

import os
import random
import sys

CONTROL_FD = 3
REPORT_FD = 4


def main() -> None:
    """The preloader's life, and then that of each process forked from it."""
    # Only this directory's package is imported from here; the app must not find it among its own modules.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here] + [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    from flying_passenger import (
        application,
        before_forking,
        environment,
        events,
        fork_server,
        interface,
        interpreter,
        native,
        report,
        title,
    )

    sys.path.remove(here)
    reporter = report.Report(REPORT_FD)
    started = interpreter.Interpreter((CONTROL_FD, REPORT_FD))
    if started.is_first:
        reporter.loading()
    forks = fork_server.ForkServer(CONTROL_FD)
    startup_file = os.environ.pop("FLYING_PASSENGER_STARTUP_FILE")
    group = os.environ.pop("FLYING_PASSENGER_GROUP", "")
    threads = int(os.environ.pop("FLYING_PASSENGER_THREADS", "1"))
    encoded_path = environment.take_encoded_path()
    title.set_title("Passenger AppPreloader: " + group)
    support = native.Native()
    with started.may_be_replaced():
        loaded = reporter.failures(lambda: application.load(startup_file))
    reporter.failures(lambda: interface.of(*loaded))
    before_forking.run()
    reporter.ready()
    handed = forks.run()
    if handed is None:
        return
    title.set_title("Passenger PythonApp: " + group)
    reporter = report.Report(handed.report)
    random.seed()
    reporter.failures(lambda: events.call("starting_worker_process", True))
    server = reporter.failures(lambda: interface.server(handed.listener, threads, encoded_path, support, *loaded))
    reporter.native(support.report())
    server.run(reporter)
    events.call("stopping_worker_process")


if __name__ == "__main__":
    main()
