"""A temporary directory, the processes started in it, and nginx in front of them. Ends all that it started."""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from measure.build import this_build

# Descriptors: thousands of connections pass through nginx and the router.
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
NGINX = os.environ.get("NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"

CONF = """
daemon off;
{user}
{load_module}
worker_processes 1;
worker_rlimit_nofile {files};
pid {dir}/nginx.pid;
error_log {dir}/nginx.log warn;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
{servers}
}}
"""


class Stage:
    """Use it in a `with` statement."""

    def __init__(self, build=None):
        self.build = build or this_build()
        if not self.build.daemon.exists():
            sys.exit(f"{self.build.daemon} is missing: make build")

    def __enter__(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        self.dir = Path(tempfile.mkdtemp(prefix="fp-bench.", dir="/tmp"))
        # The apps run as another user when this is run as root.
        self.dir.chmod(0o755)
        shutil.copytree(Path(__file__).parents[1] / "apps", self.dir / "apps")
        subprocess.run(["chmod", "-R", "a+rX", self.dir / "apps"], check=True)
        self.children = []
        # What peers share: the nginx behind nginx, and the daemon.
        self.back = self.daemon = None
        self.registry = self.dir / "registry"
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, argv, cwd=None, log="peers.log", **env):
        """Starts a process that stays in the foreground; returns its PID."""
        with open(self.dir / log, "ab") as output:
            child = subprocess.Popen(
                [str(word) for word in argv], cwd=cwd or self.dir, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )
        self.children.append(child)
        return child.pid

    def start_nginx(self, servers, name="nginx", module=True):
        """Starts an nginx with these server and upstream blocks, and with our module; returns its master's PID."""
        here = self.dir / name
        here.mkdir()
        # The worker can connect to the sockets of peers of any user.
        user = "user root;" if os.getuid() == 0 else ""
        load_module = f"load_module {self.build.module};" if module and self.build.module.exists() else ""
        (here / "nginx.conf").write_text(CONF.format(files=FILES, user=user, load_module=load_module, dir=here, servers=servers))
        return self.start([NGINX, "-p", here, "-e", here / "nginx.log", "-c", here / "nginx.conf"])

    def fail(self, what):
        """Ends the run with the last words of every log."""
        for log in sorted(self.dir.rglob("*.log")):
            for line in log.read_text(errors="replace").splitlines()[-5:]:
                print(f"{log.name}: {line}", file=sys.stderr)
        sys.exit(f"FAILED: {what}")

    def eventually(self, what, condition, seconds=30, pause=0.05):
        """Waits for a condition, which is checked after each pause."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until or any(child.poll() is not None for child in self.children):
                self.fail(f"waited for {what}")
            time.sleep(pause)

    def processes_in_status(self, root):
        """How many processes of an app serve, as passenger-status says."""
        return self.serving(lambda group: group["app_root"] == str(root))

    def serving(self, wanted=lambda group: True):
        """The same of all groups that are wanted."""
        processes = [process for group in self.groups() if wanted(group) for process in group["processes"]]
        return sum(process["state"] == "serving" for process in processes)

    def groups(self):
        """The daemon's groups as passenger-status reports them."""
        done = subprocess.run(
            [self.build.programs / "passenger-status", "--show", "json"], capture_output=True, text=True, check=False,
            env={**os.environ, "PASSENGER_INSTANCE_REGISTRY_DIR": str(self.registry)},
        )
        return json.loads(done.stdout)["groups"] if done.returncode == 0 else []

    def native_support(self):
        """Which apps use native support in their loader, as text; nothing with a build that has none."""
        answers = {
            Path(group["app_root"]).name: process["native_support"]
            for group in self.groups() for process in group["processes"] if process.get("native_support")
        }
        return ", ".join(f"{app} {answer}" for app, answer in sorted(answers.items()))

    def wait_for_socket(self, path):
        """Waits until a process listens on a unix socket."""
        self.eventually(f"{path} to listen", lambda: _connects(path))

    def wait_for_answer(self, url):
        """Waits for the hello of an app."""
        self.eventually(f"{url} to answer", lambda: _get(url) == b"hello world\n")


def free_port():
    """A free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _connects(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _get(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read()
    except (urllib.error.URLError, ConnectionError):
        return None
