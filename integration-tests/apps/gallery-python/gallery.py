"""What every client of the gallery does: `python client.py PORT`, silent until it prints `ok`."""

import sys
import time

import requests

PORT = int(sys.argv[1])
BASE = f"http://127.0.0.1:{PORT}"
session = requests.Session()


def get(path, status=200, **options):
    """A response with the status that is expected."""
    return checked(session.get(BASE + path, timeout=30, allow_redirects=False, **options), status)


def post(path, status=200, **options):
    """Likewise."""
    return checked(session.post(BASE + path, timeout=30, allow_redirects=False, **options), status)


def checked(response, status):
    """The response, when it is as expected."""
    assert response.status_code == status, (response.url, response.status_code, response.text[:2000])
    return response


def check_paths():
    """`/path/…` answers with what its framework makes of the rest of the path."""
    for written, meant in (("a%20b", "a b"), ("caf%C3%A9", "café"), ("x%2Fy", "x/y"), ("100%25", "100%")):
        told = get("/path/" + written).json()["path"]
        assert told == meant, (written, told)
    assert get("/path/plain", params={"q": "ü &="}).json()["q"] == "ü &="


def eventually(path, wanted):
    """Until the JSON of `path` is as wanted: work in the background may end after its response."""
    until = time.monotonic() + 30
    while get(path).json() != wanted:
        assert time.monotonic() < until, (path, get(path).text)


def done():
    """The test waits for this."""
    print("ok")
