"""Starlette: lifespan state, WebSockets, files, streams, uploads, background tasks, server-sent events, mounts."""

import asyncio
import contextlib

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

finished = []


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"fruit": "pear"}


async def path(request):
    return JSONResponse({"path": request.path_params["rest"], "q": request.query_params.get("q")})


async def about(request):
    return JSONResponse({"fruit": request.state.fruit, "version": request.scope["http_version"], "url": str(request.url),
                         "raw": request.scope["raw_path"].decode(),
                         "inner": str(request.url_for("static", path="/a.txt"))})


async def all_finished(request):
    return JSONResponse(finished)


async def upload(request):
    async with request.form() as form:
        return JSONResponse({"name": form["file"].filename, "size": len(await form["file"].read())})


async def length(request):
    total = 0
    async for part in request.stream():
        total += len(part)
    return PlainTextResponse(str(total))


async def events(request):
    async def parts():
        for number in range(3):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(parts(), media_type="text/event-stream", background=BackgroundTask(finished.append, "events"))


async def source(request):
    return FileResponse(__file__, filename="caf\xe9.py")


class Echo(WebSocketEndpoint):
    encoding = "bytes"

    async def on_connect(self, websocket):
        await websocket.accept(subprotocol="echo" if "echo" in websocket.scope["subprotocols"] else None)

    async def on_receive(self, websocket, data):
        await websocket.send_bytes(data)


application = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/path/{rest:path}", path),
        Route("/about", about),
        Route("/finished", all_finished),
        Route("/upload", upload, methods=["POST"]),
        Route("/length", length, methods=["PUT"]),
        Route("/events", events),
        Route("/source", source),
        WebSocketRoute("/echo", Echo),
        Mount("/static", StaticFiles(directory="."), name="static"),
    ],
)
