"""Finds and imports the app's startup file, and reads its `application` and its settings."""

import importlib.machinery
import importlib.util
import os
import sys
import traceback
from types import ModuleType
from typing import Any, NamedTuple

from .report import LoadFailure

MODULE = "passenger_wsgi"
# The usual names of virtualenvs in an app's directory.
VIRTUALENVS = ("venv", ".venv", "env")


class Loaded(NamedTuple):
    """What the startup file defines."""

    application: Any
    # `passenger_interface`, when it is there: the interface of the application.
    interface: Any


def load(startup_file: str) -> Loaded:
    """The callable of the startup file, which becomes the module `passenger_wsgi`."""
    if not os.path.isfile(startup_file):
        raise LoadFailure(f"the app is missing: there is no startup file {startup_file}")
    sys.path.insert(0, os.getcwd())
    module = _import(startup_file)
    application = getattr(module, "application", None)
    if application is None:
        raise LoadFailure(f"the startup file {startup_file} does not define `application`")
    if not callable(application):
        raise LoadFailure(f"`application` in {startup_file} cannot be called")
    return Loaded(application, getattr(module, "passenger_interface", None))


def _import(startup_file: str) -> ModuleType:
    # Whatever its name ends in: `app.wsgi` is what mod_wsgi calls its startup files.
    loader = importlib.machinery.SourceFileLoader(MODULE, startup_file)
    spec = importlib.util.spec_from_file_location(MODULE, startup_file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        loader.exec_module(module)
    except ImportError as error:
        summary = f"something the app needs is missing: {error}{_virtualenv()}"
        raise LoadFailure(summary, traceback.format_exc()) from error
    except SyntaxError as error:
        raise LoadFailure(f"the app has a syntax error: {error}", traceback.format_exc()) from error
    return module


def _virtualenv() -> str:
    """Which virtualenv is used; otherwise the one beside the app, as it is often forgotten."""
    if sys.prefix != sys.base_prefix:
        return f" (in the virtualenv {sys.prefix})"
    beside = (os.path.join(os.getcwd(), name) for name in VIRTUALENVS)
    found = next((path for path in beside if os.path.isfile(os.path.join(path, "pyvenv.cfg"))), None)
    return f"; the virtualenv {found} is not used" if found else ""
