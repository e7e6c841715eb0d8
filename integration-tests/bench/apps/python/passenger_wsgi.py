"""The hello app in Python: twelve bytes, and a mebibyte at /big."""

HELLO = b"hello world\n"
BIG = b"x" * 1_048_576


def application(environ, start_response):
    """Any WSGI server calls this."""
    body = BIG if environ["PATH_INFO"] == "/big" else HELLO
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
