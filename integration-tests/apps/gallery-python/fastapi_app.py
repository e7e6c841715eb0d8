"""FastAPI: validation, dependencies, uploads, streaming, background tasks, WebSockets, middleware, its documentation pages."""

from typing import Annotated

from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    Form,
    HTTPException,
    Request,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

application = FastAPI()
application.add_middleware(GZipMiddleware, minimum_size=500)
notes = []
rooms = set()


class Item(BaseModel):
    name: str
    price: float


@application.get("/path/{rest:path}")
async def path(rest: str, q: str | None = None):
    return {"path": rest, "q": q}


@application.post("/items", status_code=201)
def create(item: Item) -> Item:
    return item


def user(request: Request) -> str:
    if "X-User" not in request.headers:
        raise HTTPException(401, "who?")
    return request.headers["X-User"]


@application.get("/me")
def me(name: Annotated[str, Depends(user)]):
    return {"name": name}


@application.post("/upload")
async def upload(file: Annotated[UploadFile, File()], note: Annotated[str, Form()]):
    return {"name": file.filename, "size": len(await file.read()), "note": note}


@application.get("/stream")
def stream():
    return StreamingResponse((f"{number}\n" * 100 for number in range(20)), media_type="text/plain")


@application.post("/notes/{note}")
async def note(note: str, tasks: BackgroundTasks):
    tasks.add_task(notes.append, note)
    return {"queued": note}


@application.get("/notes")
async def all_notes():
    return notes


@application.websocket("/chat/{name}")
async def chat(socket: WebSocket, name: str):
    if name == "nobody":
        await socket.close(1008)
        return
    await socket.accept(headers=[(b"x-room", b"1")])
    rooms.add(socket)
    try:
        while True:
            message = await socket.receive_json()
            for other in list(rooms):
                await other.send_json({"from": name, **message})
    except WebSocketDisconnect:
        rooms.discard(socket)
