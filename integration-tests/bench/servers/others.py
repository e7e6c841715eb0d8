"""puma, Node.js, and NGINX Unit."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from servers.peer import Missing, Peer, need, proxied


def puma(stage, threads, yjit=False):
    """Debian's puma."""
    need("apt: puma", "/usr/bin/puma")
    short = f"puma-{threads}{'-yjit' if yjit else ''}"
    listen = stage.dir / f"{short}.sock"
    app = stage.start([
        "/usr/bin/puma", "--workers", "2", "--threads", f"{threads}:{threads}", "--environment", "production",
        "--bind", f"unix://{listen}", "--silent", stage.dir / "apps/ruby/config.ru",
    ], **({"RUBYOPT": "--yjit"} if yjit else {}))
    stage.wait_for_socket(listen)
    name = f"puma, {threads} thread{'s'[:threads > 1]}{', YJIT' if yjit else ''}"
    return Peer(name, **proxied(short.replace("-", "_"), [listen]), app=[app])


def node(stage):
    """Two plain Node.js processes."""
    need("apt: nodejs", shutil.which("node") or "/no node")
    listens = [stage.dir / f"node{number}.sock" for number in (1, 2)]
    apps = [stage.start(["node", stage.dir / "apps/node/app.js"], HELLO_SOCKET=str(path)) for path in listens]
    for path in listens:
        stage.wait_for_socket(path)
    return Peer("node", **proxied("node", listens), app=apps)


def unit(stage, language):
    """NGINX Unit, if UNITD= names its program; UNIT_MODULES= is the directory of its modules if they are not in their usual place."""
    program = os.environ.get("UNITD")
    if not program:
        raise Missing("UNITD=/path/to/unitd names one")
    modules = os.environ.get("UNIT_MODULES") or _unit_modules(program)
    module = {"ruby": "ruby.unit.so", "python": "python3.unit.so"}[language]
    need(f"its module {module}", program, Path(modules) / module)
    here = stage.dir / f"unit-{language}"
    here.mkdir()
    control = here / "control.sock"
    user = ["--user", "root", "--group", "root"] if os.getuid() == 0 else []
    pid = stage.start([
        program, "--no-daemon", "--control", f"unix:{control}", "--pid", here / "unit.pid", "--log", here / "unit.log",
        "--statedir", here, "--tmpdir", here, "--modulesdir", modules, *user,
    ])
    stage.wait_for_socket(control)
    peer = Peer(f"Unit, {language}", "", unit=pid)
    _configure_unit(control, peer, language, stage.dir / "apps")
    return peer


def _unit_modules(program):
    """The directory that it was built for."""
    need("UNITD names no program", program)
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    found = re.search(r'--modulesdir.*\n.*default: "(.*)"', done.stdout + done.stderr)
    return found[1] if found else "/usr/lib/unit/modules"


def _configure_unit(control, peer, language, apps):
    app = {"ruby": {"type": "ruby", "script": str(apps / "ruby/config.ru")},
           "python": {"type": "python", "path": str(apps / "python"), "module": "passenger_wsgi"}}[language]
    configuration = {
        "listeners": {f"127.0.0.1:{peer.port}": {"pass": "applications/app"}},
        "applications": {"app": {**app, "processes": 2, "working_directory": str(apps / language)}},
    }
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(control))
    connection.request("PUT", "/config", json.dumps(configuration))
    answer = connection.getresponse()
    if answer.status != 200:
        raise Missing(f"it refuses its configuration: {answer.read().decode(errors='replace')}")
    connection.close()
