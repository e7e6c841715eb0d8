"""What is compared: how each peer is started, and how nginx reaches it. Two app processes each, unix sockets, keep-alive."""

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from measure.processes import descendants, is_router
from measure.stage import ROOT, free_port

RELAY = ROOT / "target/bench-relay"
VENV = ROOT / "target/bench-venv"
GRANIAN = "granian==2.8.7"
UWSGI_PARAMS = {
    "QUERY_STRING": "query_string", "REQUEST_METHOD": "request_method", "CONTENT_TYPE": "content_type",
    "CONTENT_LENGTH": "content_length", "REQUEST_URI": "request_uri", "PATH_INFO": "document_uri",
    "DOCUMENT_ROOT": "document_root", "SERVER_PROTOCOL": "server_protocol", "REQUEST_SCHEME": "scheme",
    "REMOTE_ADDR": "remote_addr", "REMOTE_PORT": "remote_port", "SERVER_PORT": "server_port", "SERVER_NAME": "server_name",
}


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

    @property
    def is_ours(self):
        """Whether it is this project."""
        return self.root is not None

    @property
    def url(self):
        """Where wrk finds it."""
        return f"http://127.0.0.1:{self.port}"

    def servers(self):
        """Its part of nginx.conf."""
        if self.own_nginx:
            return ""
        return self.server()

    def server(self):
        """The same, for a separate nginx."""
        return f"{self.upstream}\nserver {{ listen 127.0.0.1:{self.port}; {self.location} }}\n"

    def roles(self):
        """PIDs by role, as they are now. Of ours, `middle` is supervisor and router."""
        if self.own_nginx:
            return {"nginx": _all_below([self.own_nginx]), "middle": [], "app": []}
        if not self.is_ours:
            return {"middle": _all_below(self.middle), "app": _all_below(self.app)}
        supervisor, *children = _all_below(self.middle)
        apps = [pid for pid in children if os.readlink(f"/proc/{pid}/cwd") == str(self.root)]
        return {"middle": [supervisor, *filter(is_router, children)], "app": apps}


def _all_below(pids):
    return [found for pid in pids for found in descendants(pid)]


def _proxied(name, sockets, directive="proxy_pass http://"):
    servers = " ".join(f"server unix:{path};" for path in sockets)
    return {"upstream": f"upstream {name} {{ {servers} keepalive 64; }}", "location": f"location / {{ {directive}{name}; }}"}


def _need(package, *files):
    for file in files:
        if not Path(file).exists():
            raise Missing(package)


def floor(stage):
    """nginx that answers by itself."""
    (stage.dir / "big").write_bytes(b"x" * 1_048_576)
    return Peer("nginx return 200", _answer(stage))


def _answer(stage):
    return f'location = /big {{ root {stage.dir}; }} location / {{ return 200 "hello world\\n"; }}'


def static_file(stage, loaded):
    """A file, from an nginx without our module or with it unused."""
    (stage.dir / "hello").write_bytes(b"hello world\n")
    name = "static file, module" if loaded else "static file"
    peer = Peer(name, f"root {stage.dir}; location = / {{ try_files /hello =404; }}")
    peer.own_nginx = stage.start_nginx(peer.server(), name.replace(", ", "-").replace(" ", "-"), module=loaded)
    return peer


def back_nginx(stage):
    """nginx in front of nginx."""
    back = stage.dir / "back.sock"
    stage.back = stage.start_nginx(f"server {{ listen unix:{back}; {_answer(stage)} }}", "back")
    stage.wait_for_socket(back)
    return Peer("nginx + nginx", **_proxied("to_nginx", [back]), app=[stage.back])


def relay(stage):
    """The dumb relay between the same two."""
    _need("apt: cargo, or https://rustup.rs", shutil.which("cargo") or "/no cargo")
    manifest = Path(__file__).parents[1] / "relay/Cargo.toml"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", manifest, "--target-dir", RELAY]
    subprocess.run(command, check=True)
    listen = stage.dir / "relay.sock"
    pid = stage.start([RELAY / "release/relay", listen, stage.dir / "back.sock"])
    stage.wait_for_socket(listen)
    return Peer("nginx + relay + nginx", **_proxied("to_relay", [listen]), middle=[pid], app=[stage.back])


def ours(stage, language):
    """flying-passenger: one daemon, an app in each language."""
    interpreter = {"ruby": "/usr/bin/ruby", "python": "/usr/bin/python3", "node": shutil.which("node") or "/no node"}[language]
    _need("make build", stage.module, stage.release / "flying-passenger", stage.release / "passenger-status")
    _need({"python": "apt: python3", "ruby": "apt: ruby ruby-rack", "node": "apt: nodejs"}[language], interpreter)
    directive = {"ruby": "passenger_ruby", "python": "passenger_python", "node": "passenger_nodejs"}[language]
    root = stage.dir / "apps" / language
    (root / "public").mkdir(exist_ok=True)
    listen, daemon = daemon_of(stage)
    location = (
        f"root {root}/public; passenger_enabled on; passenger_fly_with {listen}; passenger_min_instances 2; "
        f"passenger_max_instances 2; {directive} {interpreter};"
    )
    return Peer(f"ours, {language}", location, middle=[daemon], root=root)


def daemon_of(stage):
    """Starts the daemon if it does not run; returns its socket and PID."""
    listen = stage.dir / "ours.sock"
    if stage.daemon is None:
        # A copy of the loaders, as the checkout may lie where the apps' user cannot read.
        loaders = stage.dir / "loaders"
        shutil.copytree(stage.loaders, loaders, ignore=shutil.ignore_patterns("conformance", "__pycache__"))
        stage.registry.mkdir()
        stage.daemon = stage.start([
            stage.release / "flying-passenger", f"--socket-file={listen}", f"--instance-registry-dir={stage.registry}",
            f"--loaders-dir={loaders}", *_router_user(),
        ], log="ours.log")
        stage.wait_for_socket(listen)
    return listen, stage.daemon


def _router_user():
    """The router of a daemon of root needs a separate user: where no package created one, a user of Debian's that runs nothing."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("flying-passenger")
        return []
    except KeyError:
        return ["--router-user=uucp"]


def puma(stage, threads):
    """Debian's puma."""
    _need("apt: puma", "/usr/bin/puma")
    listen = stage.dir / f"puma-{threads}.sock"
    app = stage.start([
        "/usr/bin/puma", "--workers", "2", "--threads", f"{threads}:{threads}", "--environment", "production",
        "--bind", f"unix://{listen}", "--silent", stage.dir / "apps/ruby/config.ru",
    ])
    stage.wait_for_socket(listen)
    return Peer(f"puma, {threads} thread{'s'[:threads > 1]}", **_proxied(f"puma{threads}", [listen]), app=[app])


def gunicorn(stage):
    """Debian's gunicorn, with its default worker."""
    _need("apt: gunicorn", "/usr/bin/gunicorn")
    listen = stage.dir / "gunicorn.sock"
    command = ["/usr/bin/gunicorn", "--workers", "2", "--bind", f"unix:{listen}", "passenger_wsgi:application"]
    app = stage.start(command, cwd=stage.dir / "apps/python")
    stage.wait_for_socket(listen)
    return Peer("gunicorn", **_proxied("gunicorn", [listen]), app=[app])


def granian(stage):
    """granian from PyPI, in a separate environment below target/."""
    _need("apt: python3-venv", "/usr/bin/python3")
    program = VENV / "bin/granian"
    try:
        if not program.exists():
            subprocess.run(["/usr/bin/python3", "-m", "venv", VENV], check=True, stdout=sys.stderr)
            subprocess.run([VENV / "bin/pip", "install", "--quiet", "--only-binary=:all:", GRANIAN], check=True)
    except subprocess.CalledProcessError as error:
        raise Missing(f"pip: {GRANIAN} (needs apt: python3-venv)") from error
    listen = stage.dir / "granian.sock"
    app = stage.start([
        program, "--interface", "wsgi", "--workers", "2", "--blocking-threads", "1", "--no-ws", "--http", "1",
        "--uds", listen, "passenger_wsgi:application",
    ], cwd=stage.dir / "apps/python")
    stage.wait_for_socket(listen)
    return Peer("granian", **_proxied("granian", [listen]), app=[app])


def uwsgi(stage):
    """Debian's uWSGI, by its own protocol."""
    _need("apt: uwsgi-core uwsgi-plugin-python3", "/usr/bin/uwsgi", "/usr/lib/uwsgi/plugins/python3_plugin.so")
    listen = stage.dir / "uwsgi.sock"
    app = stage.start([
        "/usr/bin/uwsgi", "--plugin", "python3", "--master", "--processes", "2", "--socket", listen, "--die-on-term",
        "--disable-logging", "--need-app", "--wsgi-file", stage.dir / "apps/python/passenger_wsgi.py",
    ])
    stage.wait_for_socket(listen)
    proxied = _proxied("uwsgi", [listen], "uwsgi_pass ")
    parameters = " ".join(f"uwsgi_param {name} ${variable};" for name, variable in UWSGI_PARAMS.items())
    return Peer("uWSGI", proxied["location"] + parameters, proxied["upstream"], app=[app])


def node(stage):
    """Two plain Node.js processes."""
    _need("apt: nodejs", shutil.which("node") or "/no node")
    listens = [stage.dir / f"node{number}.sock" for number in (1, 2)]
    apps = [stage.start(["node", stage.dir / "apps/node/app.js"], HELLO_SOCKET=str(path)) for path in listens]
    for path in listens:
        stage.wait_for_socket(path)
    return Peer("node", **_proxied("node", listens), app=apps)


EVERYBODY = (
    (floor,), (static_file, False), (static_file, True), (back_nginx,), (relay,), (ours, "ruby"), (puma, 1), (puma, 5),
    (ours, "python"), (gunicorn,), (granian,),
    (uwsgi,), (ours, "node"), (node,),
)


def everybody_ready(stage, which=EVERYBODY):
    """All peers behind one nginx, each with two app processes that have answered.

    Returns them, nginx's PIDs, and a line for each that is missing.
    """
    peers, missing = [], []
    for start, *arguments in which:
        try:
            peers.append(start(stage, *arguments))
        except Missing as error:
            missing.append(f"missing: {' '.join([start.__name__, *map(str, arguments)])}: not installed ({error})")
    master = stage.start_nginx("".join(peer.servers() for peer in peers))
    for peer in peers:
        stage.wait_for_answer(peer.url + "/")
        if peer.is_ours:
            stage.eventually(f"two processes of {peer.name}", lambda peer=peer: stage.processes_in_status(peer.root) == 2)
    return peers, descendants(master), missing
