"""One server of the comparison: where it answers, and which processes it consists of, by role."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from measure.processes import descendants, is_router
from measure.stage import free_port


class Missing(Exception):
    """A peer is not installed; the text says what to install."""


@dataclass
class Peer:
    """One way to answer hello behind nginx."""

    name: str
    # Inside its `server` block, and beside it.
    location: str
    upstream: str = ""
    # PIDs of the processes started for it, by role.
    middle: list = field(default_factory=list)
    app: list = field(default_factory=list)
    # Ours: the daemon starts the app, whose processes run in this directory.
    root: Path = None
    port: int = field(default_factory=free_port)
    # Master of an nginx of its own, which serves it instead of the one in front of all others.
    own_nginx: int = None
    # NGINX Unit's main process: it has no nginx in front.
    unit: int = None

    @property
    def is_ours(self):
        """Whether it is this project."""
        return self.root is not None

    @property
    def url(self):
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def servers(self):
        """Its part of nginx.conf."""
        return "" if self.own_nginx or self.unit else self.server()

    def server(self):
        """The same, for a separate nginx."""
        return f"{self.upstream}\nserver {{ listen 127.0.0.1:{self.port}; {self.location} }}\n"

    def roles(self, nginx):
        """PIDs by role, as they are now, with those of the nginx in front. `middle` is the router, or what is in its place."""
        if self.own_nginx:
            return {"nginx": _all_below([self.own_nginx])}
        if self.unit:
            return _roles_of_unit(self.unit)
        if not self.is_ours:
            return {"nginx": nginx, "middle": _all_below(self.middle), "app": _all_below(self.app)}
        supervisor, *children = _all_below(self.middle)
        apps = [pid for pid in children if os.readlink(f"/proc/{pid}/cwd") == str(self.root)]
        return {"nginx": nginx, "middle": [*filter(is_router, children)], "supervisor": [supervisor], "app": apps}


def _all_below(pids):
    return [found for pid in pids for found in descendants(pid)]


def _roles_of_unit(main):
    """Unit's applications by the title of each process; its router parses and forwards."""
    below = descendants(main)
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in below}
    apps = [pid for pid, title in titles.items() if " application" in title]
    return {"middle": [pid for pid in below if pid not in apps], "app": apps}


def proxied(name, sockets, directive="proxy_pass http://"):
    """Its upstream and location when nginx reaches it by unix sockets."""
    servers = " ".join(f"server unix:{path};" for path in sockets)
    return {"upstream": f"upstream {name} {{ {servers} keepalive 64; }}", "location": f"location / {{ {directive}{name}; }}"}


def need(package, *files):
    """Fails with what to install if one of its files is absent."""
    for file in files:
        if not Path(file).exists():
            raise Missing(package)
