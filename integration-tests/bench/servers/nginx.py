"""nginx alone, nginx behind nginx, and the relay between the two: what any server behind nginx costs at least."""

import shutil
import subprocess
from pathlib import Path

from measure.build import ROOT

from servers.peer import Peer, need, proxied

RELAY = ROOT / "target/bench-relay"


def _answer(stage):
    (stage.dir / "big").write_bytes(b"x" * 1_048_576)
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
    return Peer("nginx + nginx", **proxied("to_nginx", [back]), app=[stage.back])


def relay(stage):
    """The relay between the same two."""
    need("apt: cargo, or https://rustup.rs", shutil.which("cargo") or "/no cargo")
    manifest = Path(__file__).parents[1] / "relay/Cargo.toml"
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", manifest, "--target-dir", RELAY]
    subprocess.run(command, check=True)
    listen = stage.dir / "relay.sock"
    pid = stage.start([RELAY / "release/relay", listen, stage.dir / "back.sock"])
    stage.wait_for_socket(listen)
    return Peer("nginx + relay + nginx", **proxied("to_relay", [listen]), middle=[pid], app=[stage.back])
