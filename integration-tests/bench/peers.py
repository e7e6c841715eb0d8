"""What is compared: how each peer is started, and how nginx reaches it. Two app processes each, unix sockets, keep-alive."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from processes import descendants
from stage import RELEASE, ROOT, free_port

BUILT = ROOT / "target/bench"
GRANIAN = "granian==2.8.7"
UWSGI_PARAMS = {
    "QUERY_STRING": "query_string", "REQUEST_METHOD": "request_method", "CONTENT_TYPE": "content_type",
    "CONTENT_LENGTH": "content_length", "REQUEST_URI": "request_uri", "PATH_INFO": "document_uri",
    "DOCUMENT_ROOT": "document_root", "SERVER_PROTOCOL": "server_protocol", "REQUEST_SCHEME": "scheme",
    "REMOTE_ADDR": "remote_addr", "REMOTE_PORT": "remote_port", "SERVER_PORT": "server_port", "SERVER_NAME": "server_name",
}


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
    # Ours: the router starts the apps.
    is_ours: bool = False
    port: int = field(default_factory=free_port)

    @property
    def url(self):
        """Where wrk finds it."""
        return f"http://127.0.0.1:{self.port}"

    def servers(self):
        """Its part of nginx.conf."""
        return f"{self.upstream}\nserver {{ listen 127.0.0.1:{self.port}; {self.location} }}\n"

    def roles(self):
        """PIDs by role, as they are now."""
        if not self.is_ours:
            return {"middle": _all_below(self.middle), "app": _all_below(self.app)}
        supervisor, *children = _all_below(self.middle)
        routers = [pid for pid in children if b"router" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2]]
        return {"middle": [supervisor, *routers], "app": [pid for pid in children if pid not in routers]}


def _all_below(pids):
    return [found for pid in pids for found in descendants(pid)]


def _proxied(name, sockets, directive="proxy_pass http://"):
    servers = " ".join(f"server unix:{path};" for path in sockets)
    return {"upstream": f"upstream {name} {{ {servers} keepalive 64; }}", "location": f"location / {{ {directive}{name}; }}"}


def floors(stage):
    """nginx alone, nginx in front of nginx, and the relay between the two."""
    back = stage.dir / "back.sock"
    (stage.dir / "big").write_bytes(b"x" * 1_048_576)
    answer = f'location = /big {{ root {stage.dir}; }} location / {{ return 200 "hello world\\n"; }}'
    nginx = stage.start_nginx(f"server {{ listen unix:{back}; {answer} }}", "back")
    stage.wait_for_socket(back)
    yield Peer("nginx return 200", answer)
    yield Peer("nginx + nginx", **_proxied("to_nginx", [back]), app=[nginx])
    listen = stage.dir / "relay.sock"
    relay = stage.start([build_relay(), listen, back])
    stage.wait_for_socket(listen)
    yield Peer("nginx + relay + nginx", **_proxied("to_relay", [listen]), middle=[relay], app=[nginx])


def build_relay():
    """Compiles the relay, once."""
    manifest = Path(__file__).parent / "relay/Cargo.toml"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", manifest, "--target-dir", BUILT]
    subprocess.run(command, check=True)
    return BUILT / "release/relay"


def ours(stage, language):
    """flying-passenger, with one daemon for each language so that its memory is that of one app."""
    interpreter = {"ruby": "/usr/bin/ruby", "python": "/usr/bin/python3", "node": shutil.which("node")}[language]
    directive = {"ruby": "passenger_ruby", "python": "passenger_python", "node": "passenger_nodejs"}[language]
    root = stage.dir / "apps" / language
    (root / "public").mkdir(exist_ok=True)
    registry = stage.dir / f"registry-{language}"
    registry.mkdir()
    listen = stage.dir / f"ours-{language}.sock"
    daemon = stage.start([
        RELEASE / "flying-passenger", f"--socket-file={listen}", f"--instance-registry-dir={registry}",
        "--max-pool-size=2", f"--loaders-dir={_loaders(stage)}",
    ], log=f"ours-{language}.log")
    stage.wait_for_socket(listen)
    location = (
        f"root {root}/public; passenger_enabled on; passenger_fly_with {listen}; passenger_min_instances 2; "
        f"{directive} {interpreter};"
    )
    return Peer(f"ours, {language}", location, middle=[daemon], is_ours=True)


def _loaders(stage):
    """A copy of the loaders, as the checkout may lie where the apps' user cannot read."""
    copy = stage.dir / "loaders"
    if not copy.exists():
        shutil.copytree(ROOT / "daemon/loaders", copy)
    return copy


def puma(stage, threads):
    """Debian's puma."""
    listen = stage.dir / f"puma-{threads}.sock"
    app = stage.start([
        "/usr/bin/puma", "--workers", "2", "--threads", f"{threads}:{threads}", "--environment", "production",
        "--bind", f"unix://{listen}", "--silent", stage.dir / "apps/ruby/config.ru",
    ])
    stage.wait_for_socket(listen)
    return Peer(f"puma, {threads} thread{'s'[:threads > 1]}", **_proxied(f"puma{threads}", [listen]), app=[app])


def gunicorn(stage):
    """Debian's gunicorn, with its default worker."""
    listen = stage.dir / "gunicorn.sock"
    command = ["/usr/bin/gunicorn", "--workers", "2", "--bind", f"unix:{listen}", "passenger_wsgi:application"]
    app = stage.start(command, cwd=stage.dir / "apps/python")
    stage.wait_for_socket(listen)
    return Peer("gunicorn", **_proxied("gunicorn", [listen]), app=[app])


def granian(stage):
    """granian from PyPI, in an environment of its own below target/."""
    program = BUILT / "venv/bin/granian"
    if not program.exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", BUILT / "venv"], check=True)
        subprocess.run([BUILT / "venv/bin/pip", "install", "--quiet", "--only-binary=:all:", GRANIAN], check=True)
    listen = stage.dir / "granian.sock"
    app = stage.start([
        program, "--interface", "wsgi", "--workers", "2", "--blocking-threads", "1", "--no-ws", "--http", "1",
        "--uds", listen, "passenger_wsgi:application",
    ], cwd=stage.dir / "apps/python")
    stage.wait_for_socket(listen)
    return Peer("granian", **_proxied("granian", [listen]), app=[app])


def uwsgi(stage):
    """Debian's uWSGI, by its own protocol."""
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
    listens = [stage.dir / f"node{number}.sock" for number in (1, 2)]
    apps = [stage.start(["node", stage.dir / "apps/node/app.js"], HELLO_SOCKET=str(path)) for path in listens]
    for path in listens:
        stage.wait_for_socket(path)
    return Peer("node", **_proxied("node", listens), app=apps)


def everybody(stage):
    """All that can be started here. What cannot is named, and left out."""
    yield from floors(stage)
    for start, *arguments in (
        (ours, "ruby"), (puma, 1), (puma, 5), (ours, "python"), (gunicorn,), (granian,), (uwsgi,), (ours, "node"), (node,),
    ):
        try:
            yield start(stage, *arguments)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"left out: {start.__name__}: {error}", file=sys.stderr)


def everybody_ready(stage, which=everybody):
    """All peers behind one nginx, each with two app processes that have answered. Returns them and nginx's PIDs."""
    peers = list(which(stage))
    master = stage.start_nginx("".join(peer.servers() for peer in peers))
    for peer in peers:
        stage.wait_for_answer(peer.url + "/")
        if peer.is_ours:
            stage.eventually(f"two processes of {peer.name}", lambda peer=peer: len(peer.roles()["app"]) == 2)
    return peers, descendants(master)
