"""Bottle: routes, forms, cookies, uploads, static files, streaming, templates."""

import os

from bottle import Bottle, HTTPResponse, request, response, static_file, template

application = Bottle()


@application.get("/path/<rest:path>")
def path(rest):
    return {"path": rest, "q": request.query.getunicode("q")}


@application.post("/form")
def form():
    upload = request.files.get("file")
    return {"name": request.forms.getunicode("name"), "size": len(upload.file.read()), "file": upload.raw_filename}


@application.get("/count")
def count():
    number = int(request.get_cookie("count", secret="gallery") or 0) + 1
    response.set_cookie("count", str(number), secret="gallery")
    return str(number)


@application.get("/static/<name>")
def static(name):
    return static_file(name, root=os.path.dirname(__file__))


@application.get("/stream")
def stream():
    yield "begin "
    yield "é "
    yield "end"


@application.get("/page")
def page():
    return template("<b>{{name}}</b>", name="a < b")


@application.get("/teapot")
def teapot():
    raise HTTPResponse("short", 418, X_Kind="pot")
