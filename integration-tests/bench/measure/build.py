"""A build of flying-passenger: its programs, module and loaders, from a checkout or from a directory that has them all."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODULE = "libngx_http_passenger_module.so"


class NoBuild(Exception):
    """What is named is no build; the text says what is missing."""


@dataclass(frozen=True)
class Build:
    """Where its parts are."""

    programs: Path
    module: Path
    loaders: Path

    @property
    def daemon(self):
        """The daemon's program."""
        return self.programs / "flying-passenger"


def this_build():
    """This checkout's, or that which FLYING_PASSENGER_BIN_DIR and PASSENGER_MODULE name."""
    programs = Path(os.environ.get("FLYING_PASSENGER_BIN_DIR") or ROOT / "target/release").resolve()
    module = Path(os.environ.get("PASSENGER_MODULE") or programs / MODULE).resolve()
    return Build(programs, module, ROOT / "daemon/loaders")


def build_in(directory):
    """A checkout with target/release, a target/release of one, or a directory with programs, module and `loaders`."""
    directory = Path(directory).resolve()
    programs = next((path for path in (directory, directory / "target/release") if (path / "flying-passenger").exists()), None)
    if programs is None:
        raise NoBuild(f"{directory} has no flying-passenger, and no target/release with one")
    module = next((path for path in (programs / MODULE, programs / "ngx_http_passenger_module.so") if path.exists()), None)
    if module is None:
        raise NoBuild(f"{programs} has no {MODULE}")
    places = (programs / "loaders", directory / "daemon/loaders", *(path / "daemon/loaders" for path in programs.parents[:2]))
    loaders = next((path for path in places if path.is_dir()), None)
    if loaders is None:
        raise NoBuild(f"{directory} has no loaders, and is not below a checkout with daemon/loaders")
    return Build(programs, module, loaders)
