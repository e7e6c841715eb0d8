"""Python's servers: Debian's gunicorn and uWSGI; granian and uvicorn from PyPI, in a separate environment below target/."""

import subprocess
import sys

from measure.build import ROOT

from servers.peer import Missing, Peer, need, proxied

VENV = ROOT / "target/bench-venv"
# uvicorn with what its extra "standard" brings; granian takes uvloop as well when it is there.
PACKAGES = ("granian==2.8.7", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
UWSGI_PARAMS = {
    "QUERY_STRING": "query_string", "REQUEST_METHOD": "request_method", "CONTENT_TYPE": "content_type",
    "CONTENT_LENGTH": "content_length", "REQUEST_URI": "request_uri", "PATH_INFO": "document_uri",
    "DOCUMENT_ROOT": "document_root", "SERVER_PROTOCOL": "server_protocol", "REQUEST_SCHEME": "scheme",
    "REMOTE_ADDR": "remote_addr", "REMOTE_PORT": "remote_port", "SERVER_PORT": "server_port", "SERVER_NAME": "server_name",
}


def _program(name):
    """A program of the environment, which is made when it is first needed; `installed` is written last."""
    need("apt: python3-venv", "/usr/bin/python3")
    installed = VENV / "installed"
    if not installed.exists() or installed.read_text() != " ".join(PACKAGES):
        try:
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", VENV], check=True, stdout=sys.stderr)
            subprocess.run([VENV / "bin/pip", "install", "--quiet", "--only-binary=:all:", *PACKAGES], check=True)
        except subprocess.CalledProcessError as error:
            raise Missing(f"pip: {' '.join(PACKAGES)} (needs apt: python3-venv)") from error
        installed.write_text(" ".join(PACKAGES))
    return VENV / "bin" / name


def site_packages():
    """Where the environment's packages are."""
    _program("python")
    return next(VENV.glob("lib/python3*/site-packages"))


def gunicorn(stage):
    """Debian's gunicorn, with its default worker."""
    need("apt: gunicorn", "/usr/bin/gunicorn")
    listen = stage.dir / "gunicorn.sock"
    command = ["/usr/bin/gunicorn", "--workers", "2", "--bind", f"unix:{listen}", "passenger_wsgi:application"]
    app = stage.start(command, cwd=stage.dir / "apps/python")
    stage.wait_for_socket(listen)
    return Peer("gunicorn", **proxied("gunicorn", [listen]), app=[app])


def granian(stage, interface):
    """granian for WSGI or ASGI."""
    program = _program("granian")
    listen = stage.dir / f"granian-{interface}.sock"
    target, extra = {
        "wsgi": ("passenger_wsgi:application", ["--blocking-threads", "1"]),
        "asgi": ("asgi:application", []),
    }[interface]
    directory = {"wsgi": "python", "asgi": "asgi"}[interface]
    app = stage.start([
        program, "--interface", interface, "--workers", "2", *extra, "--no-ws", "--http", "1", "--uds", listen, target,
    ], cwd=stage.dir / "apps" / directory)
    stage.wait_for_socket(listen)
    name = "granian" if interface == "wsgi" else "granian, ASGI"
    return Peer(name, **proxied(f"granian_{interface}", [listen]), app=[app])


def uvicorn(stage):
    """uvicorn with uvloop and httptools."""
    program = _program("uvicorn")
    listen = stage.dir / "uvicorn.sock"
    app = stage.start([
        program, "--workers", "2", "--uds", listen, "--no-access-log", "--log-level", "warning", "asgi:application",
    ], cwd=stage.dir / "apps/asgi")
    stage.wait_for_socket(listen)
    return Peer("uvicorn", **proxied("uvicorn", [listen]), app=[app])


def uwsgi(stage):
    """Debian's uWSGI, by its own protocol."""
    need("apt: uwsgi-core uwsgi-plugin-python3", "/usr/bin/uwsgi", "/usr/lib/uwsgi/plugins/python3_plugin.so")
    listen = stage.dir / "uwsgi.sock"
    app = stage.start([
        "/usr/bin/uwsgi", "--plugin", "python3", "--master", "--processes", "2", "--socket", listen, "--die-on-term",
        "--disable-logging", "--need-app", "--wsgi-file", stage.dir / "apps/python/passenger_wsgi.py",
    ])
    stage.wait_for_socket(listen)
    reached = proxied("uwsgi", [listen], "uwsgi_pass ")
    parameters = " ".join(f"uwsgi_param {name} ${variable};" for name, variable in UWSGI_PARAMS.items())
    return Peer("uWSGI", reached["location"] + parameters, reached["upstream"], app=[app])
