"""Starts a WSGI or ASGI app and serves it to the daemon: descriptor 3 listens, descriptor 4 reports (docs/APP-PROTOCOL.md)."""

import os
import sys

LISTEN_FD = 3
REPORT_FD = 4


def main() -> None:
    """Load, report, serve."""
    # Only this directory's package is imported from here; the app must not find it among its own modules.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [here] + [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    from flying_passenger import application, environment, events, interface, interpreter, native, report, title

    sys.path.remove(here)
    reporter = report.Report(REPORT_FD)
    started = interpreter.Interpreter((LISTEN_FD, REPORT_FD))
    if started.is_first:
        reporter.loading()
    startup_file = os.environ.pop("FLYING_PASSENGER_STARTUP_FILE")
    title.set_title("Passenger PythonApp: " + os.environ.pop("FLYING_PASSENGER_GROUP", ""))
    threads = int(os.environ.pop("FLYING_PASSENGER_THREADS", "1"))
    encoded_path = environment.take_encoded_path()
    support = native.Native()
    with started.may_be_replaced():
        loaded = reporter.failures(lambda: application.load(startup_file))
    reporter.failures(lambda: events.call("starting_worker_process", False))
    server = reporter.failures(lambda: interface.server(LISTEN_FD, threads, encoded_path, support, *loaded))
    reporter.native(support.report())
    server.run(reporter)
    events.call("stopping_worker_process")


if __name__ == "__main__":
    main()
