"""Falcon (WSGI): resources, media, streams, hooks, errors, static files."""

import io
import os

import falcon


class Path:
    def on_get(self, req, resp, rest):
        resp.media = {"path": rest, "q": req.get_param("q")}


class Media:
    def on_post(self, req, resp):
        resp.media = {"twice": req.get_media()["number"] * 2}
        resp.status = falcon.HTTP_201
        resp.append_header("X-Seen", "yes")


class Form:
    def on_post(self, req, resp):
        resp.media = {part.name: len(part.stream.read()) for part in req.get_media()}


class Stream:
    def on_get(self, req, resp):
        data = b"0123456789" * 30_000
        resp.set_stream(io.BytesIO(data), len(data))

    def on_put(self, req, resp):
        resp.text = str(sum(len(part) for part in iter(lambda: req.bounded_stream.read(10_000), b"")))


class Failing:
    def on_get(self, req, resp):
        raise falcon.HTTPConflict(title="taken", description="é")


application = falcon.App()
application.add_route("/path/{rest:path}", Path())
application.add_route("/media", Media())
application.add_route("/form", Form())
application.add_route("/stream", Stream())
application.add_route("/conflict", Failing())
application.add_static_route("/static", os.path.dirname(os.path.abspath(__file__)))
