"""A WSGI app."""

import os
import platform


def application(environ, start_response):
    text = (
        f"Hello from Python {platform.python_version()}, process {os.getpid()}, "
        f"WSGI_ENV={os.environ['WSGI_ENV']}, you asked for {environ['PATH_INFO']}\n"
    )
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
