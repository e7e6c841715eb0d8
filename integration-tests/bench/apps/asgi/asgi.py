"""The hello app as an ASGI application: twelve bytes, and a mebibyte at /big."""

HELLO = b"hello world\n"
BIG = b"x" * 1_048_576


async def application(scope, receive, send):
    """Any ASGI server calls this."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    body = BIG if scope["path"] == "/big" else HELLO
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
