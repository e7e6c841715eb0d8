#!/usr/bin/env python3
"""What a request costs the Python loader itself: instructions of its process outside the kernel, counted by valgrind's callgrind.

    make build && python3 integration-tests/bench/loaders.py

The counts are the same on a busy machine. A process is run twice, with a different number of requests; the difference is the
requests' part. The hello apps of WSGI and ASGI are served by the loader alone, and with native support where it is built.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "daemon/loaders/conformance"))

import loader as under_test  # noqa: E402  the directory above has to be known
from native import directory, expected  # noqa: E402

FEW, MANY = 300, 2300
LOADER = under_test.LOADERS / "python/wsgi-loader.py"
ASGI = """
async def application(scope, receive, send):
    if scope["type"] != "lifespan":
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"12")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello world\\n"})
"""
# What nginx and wrk send beside the variables of every request.
VARIABLES = {
    "SERVER_SOFTWARE": "nginx/1.22.1 Phusion_Passenger/6.0.0", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8080",
    "HTTP_ACCEPT": "*/*", "HTTP_USER_AGENT": "wrk", "HTTP_COOKIE": "session=0123456789abcdef",
}  # fmt: skip


def total(source, env, requests):
    """Instructions of a process that answers so many requests."""
    with tempfile.TemporaryDirectory(prefix="fp-bench.") as directory_:
        counts = Path(directory_, "counts")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", "/usr/bin/python3", str(LOADER)]
        process = under_test.Loader(command, "passenger_wsgi.py", source, {"PYTHONHASHSEED": "0", **env})
        try:
            if "ready" not in process.report:
                sys.exit(f"FAILED: {process.report} {process.log()}")
            connection = process.connect()
            for number in range(requests):
                own = {"REMOTE_PORT": str(30000 + number % 16), "HTTP_X_REQUEST_ID": f"{number:032x}",
                       "HTTP_X_REQUEST_START": f"t={1_700_000_000_000_000 + number}"}  # fmt: skip
                body = connection.ask(**VARIABLES, **own)[2]
                if body != b"hello world\n":
                    sys.exit(f"FAILED: the app answered {body!r}")
            process.wait()
            return int(re.search(r"^(?:totals|summary): (\d+)", counts.read_text(), re.MULTILINE).group(1))
        finally:
            process.close()


def main():
    """Prints a row for each interface and loader."""
    if not shutil.which("valgrind"):
        sys.exit("missing: valgrind (apt: valgrind)")
    under_test.PATIENCE = 300
    loaders = {"pure": {}}
    if expected("python").is_file():
        loaders["native"] = {"FLYING_PASSENGER_NATIVE": str(directory("python"))}
    apps = {"WSGI": (HERE / "apps/python/passenger_wsgi.py").read_text(), "ASGI": ASGI}
    print("instructions per request outside the kernel, with the hello app's own")
    for interface, source in apps.items():
        for name, env in loaders.items():
            spent = (total(source, env, MANY) - total(source, env, FEW)) / (MANY - FEW)
            print(f"{interface} {name:7} {spent:9,.0f}", flush=True)


if __name__ == "__main__":
    main()
