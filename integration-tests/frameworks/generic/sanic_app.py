"""A Sanic application, as its documentation writes it."""

import asyncio

from sanic import Request, Sanic, Websocket, json, text

app = Sanic("Shop")


@app.get("/path/<rest:path>")
async def path(request: Request, rest: str):
    return text("%s %s %s" % (request.raw_url.decode(), rest, request.args.get("q")))


@app.post("/upload", stream=True)
async def upload(request: Request):
    size = 0
    async for part in request.stream:
        size += len(part)
    return json({"size": size})


@app.get("/stream")
async def stream(request: Request):
    response = await request.respond(content_type="text/plain")
    for part in range(3):
        await response.send("part %d\n" % part)
        await asyncio.sleep(0)
    await response.eof()


@app.websocket("/feed")
async def feed(request: Request, socket: Websocket):
    while True:
        await socket.send("you wrote " + await socket.recv())
