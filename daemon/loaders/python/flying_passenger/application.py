"""Finds and imports the app's startup file, and reads its `application` and its settings."""

import importlib.machinery
import importlib.util
import os
import sys
import traceback
from types import ModuleType
from typing import Any, NamedTuple, Optional, Sequence, Tuple

from .report import LoadFailure

MODULE = "passenger_wsgi"
# The names of an application, in order of precedence.
NAMES = ("application", "app")
# The usual names of virtualenvs in an app's directory.
VIRTUALENVS = ("venv", ".venv", "env")


class Loaded(NamedTuple):
    """What the startup file defines."""

    application: Any
    # `passenger_interface`, when it is there: the interface of the application.
    interface: Any


def load(startup_file: str) -> Loaded:
    """The callable of the startup file, whose module is also called `passenger_wsgi`."""
    if not os.path.isfile(startup_file):
        raise LoadFailure(f"the app is missing: there is no startup file {startup_file}")
    sys.path.insert(0, os.getcwd())
    try:
        module = _import(startup_file)
    except ImportError as error:
        summary = f"something the app needs is missing: {error}{_virtualenv()}"
        raise LoadFailure(summary, traceback.format_exc()) from error
    except SyntaxError as error:
        raise LoadFailure(f"the app has a syntax error: {error}", traceback.format_exc()) from error
    for name in NAMES:
        application = getattr(module, name, None)
        if application is None:
            continue
        if not callable(application):
            raise LoadFailure(f"`{name}` in {startup_file} cannot be called")
        return Loaded(application, getattr(module, "passenger_interface", None))
    raise LoadFailure(f"the startup file {startup_file} does not define `application` or `app`")


def _import(startup_file: str) -> ModuleType:
    # Whatever its name ends in: `app.wsgi` is what mod_wsgi calls its startup files.
    package, name = _own_name(startup_file)
    loader = importlib.machinery.SourceFileLoader(name, startup_file)
    spec = importlib.util.spec_from_file_location(name, startup_file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = sys.modules[name] = module
    loader.exec_module(module)
    if package is not None:
        setattr(package, name.rpartition(".")[2], module)
    return module


def _virtualenv() -> str:
    """Which virtualenv is used; otherwise the one beside the app, as it is often forgotten."""
    if sys.prefix != sys.base_prefix:
        return f" (in the virtualenv {sys.prefix})"
    beside = (os.path.join(os.getcwd(), name) for name in VIRTUALENVS)
    found = next((path for path in beside if os.path.isfile(os.path.join(path, "pyvenv.cfg"))), None)
    return f"; the virtualenv {found} is not used" if found else ""


def _own_name(startup_file: str) -> Tuple[Optional[ModuleType], str]:
    """The package and the name under which other modules of the app import the file: `app` for `app.py`, so that
    `import app` does not load it once more. Without such a name it is `passenger_wsgi`.
    """
    directory, file = os.path.split(startup_file)
    within = os.path.relpath(os.path.realpath(directory), os.getcwd())
    stem, ending = os.path.splitext(file)
    packages = [] if within == os.curdir else within.split(os.sep)
    is_name = ending == ".py" and all(part.isidentifier() for part in [*packages, stem])
    # A directory of the same name takes precedence over the file.
    if not is_name or os.path.isdir(os.path.join(directory, stem)):
        return None, MODULE
    name = ".".join([*packages, stem])
    if name in sys.modules or not _are_packages(packages):
        return None, MODULE
    if not packages:
        return None, name
    package = importlib.import_module(".".join(packages))
    is_it = os.path.realpath(directory) in [os.path.realpath(path) for path in getattr(package, "__path__", [])]
    return (package, name) if is_it else (None, MODULE)


def _are_packages(packages: Sequence[str]) -> bool:
    paths = (os.path.join(*packages[: at + 1], "__init__.py") for at in range(len(packages)))
    return all(os.path.isfile(path) for path in paths)
