"""Prepares a preloader between loading the app and its first fork: compacts memory that all processes share, and closes
what they must not share.
"""

import gc
import sys
import threading


def run() -> None:
    """Once, after the app was loaded."""
    _close_connections()
    _warn_of_threads()
    gc.collect()
    # The collector does not touch frozen objects, so that their pages are never written.
    gc.freeze()


def _close_connections() -> None:
    """Two processes that use one connection to a database break it. Each opens its own when it needs one."""
    database = sys.modules.get("django.db")
    if database is None:
        return
    try:
        database.connections.close_all()
    except Exception as error:  # pylint: disable=broad-except
        # A partly configured Django must not prevent the start.
        _warn(f"Django's database connections could not be closed: {type(error).__name__}: {error}")


def _warn_of_threads() -> None:
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others:
        _warn(
            f"{len(others)} threads were started while the app was loaded ({', '.join(others)}); they do not run in "
            "the processes forked from it, and locks that they hold stay locked there. Start them in "
            'flying_passenger.on_event("starting_worker_process"), or set passenger_spawn_method direct.'
        )


def _warn(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
