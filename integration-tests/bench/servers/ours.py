"""flying-passenger: one daemon, an app in each language."""

import os
import pwd
import shutil
import subprocess
from functools import cache

from servers.peer import Missing, Peer
from servers.python import site_packages

# Room for all apps of a run.
POOL = 100
YJIT = "passenger_env_var RUBYOPT --yjit;"


def ours(stage, name):
    """One of the apps below, by its name."""
    make = {
        "ruby": lambda: _app(stage, name, "passenger_ruby /usr/bin/ruby;"),
        "ruby with YJIT": lambda: _app(stage, name, f"passenger_ruby /usr/bin/ruby; {YJIT}", like="ruby"),
        "python": lambda: _app(stage, name, "passenger_python /usr/bin/python3;"),
        "asgi": lambda: _app(stage, name, f"passenger_python /usr/bin/python3; {_uvloop(stage)}"),
        "burner": lambda: _app(stage, name, "passenger_python /usr/bin/python3;"),
        "node": lambda: _app(stage, name, f"passenger_nodejs {shutil.which('node') or '/no node'};"),
    }
    return make[name]()


def _app(stage, name, directives, like=None):
    root = stage.dir / "apps" / name.replace(" ", "-")
    if like:
        shutil.copytree(stage.dir / "apps" / like, root)
    (root / "public").mkdir(exist_ok=True)
    listen, daemon = daemon_of(stage, pool=POOL)
    location = (
        f"root {root}/public; passenger_enabled on; passenger_fly_with {listen}; passenger_min_instances 2; "
        f"passenger_max_instances 2; passenger_max_request_queue_size 10000; {directives}"
    )
    return Peer(f"ours, {name}", location, middle=[daemon], root=root)


def _uvloop(stage):
    """uvloop, which the other ASGI servers use as well, where the app's user can read it."""
    brought = stage.dir / "uvloop"
    try:
        shutil.copytree(site_packages() / "uvloop", brought / "uvloop")
    except (OSError, Missing):
        return ""
    subprocess.run(["chmod", "-R", "a+rX", brought], check=True)
    return f"passenger_env_var PYTHONPATH {brought};"


def daemon_of(stage, *flags, pool=None):
    """Starts the daemon if it does not run; returns its socket and PID."""
    listen = stage.dir / "ours.sock"
    if stage.daemon is None:
        # A copy of the loaders, as the checkout may lie where the apps' user cannot read.
        loaders = stage.dir / "loaders"
        shutil.copytree(stage.build.loaders, loaders, ignore=shutil.ignore_patterns("conformance", "__pycache__"))
        stage.registry.mkdir()
        stage.daemon = stage.start([
            stage.build.daemon, f"--socket-file={listen}", f"--instance-registry-dir={stage.registry}",
            f"--loaders-dir={loaders}", *([f"--max-pool-size={pool}"] if pool else []), *_router_user(), *flags,
        ], log="ours.log")
        stage.wait_for_socket(listen)
    return listen, stage.daemon


@cache
def has_flag(daemon, flag):
    """Whether a build has a flag."""
    done = subprocess.run([daemon, "--help"], capture_output=True, text=True, check=True)
    return f" {flag} " in done.stdout or f" {flag}=" in done.stdout


def _router_user():
    """The router of a daemon of root needs a separate user: where no package created one, a user of Debian's that runs nothing."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("flying-passenger")
        return []
    except KeyError:
        return ["--router-user=uucp"]
