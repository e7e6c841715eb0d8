"""An app that computes for about 20 ms for each request."""


def application(environ, start_response):
    """Any WSGI server calls this."""
    total = sum(number * number for number in range(300_000))
    body = b"hello world\n" if total else b""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
