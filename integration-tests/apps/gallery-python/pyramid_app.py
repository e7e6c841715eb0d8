"""Pyramid: traversal of routes, sessions, file responses, generated URLs, streaming, exception views."""

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory


def path(request):
    return {"path": "/".join(request.matchdict["rest"]), "q": request.params.get("q")}


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return Response(str(request.session["count"]))


def upload(request):
    file = request.POST["file"]
    return {"name": file.filename, "size": len(file.file.read())}


def found(request):
    return HTTPFound(request.route_url("path", rest=("a b", "é")))


def source(request):
    return FileResponse(__file__, request=request, content_type="text/plain")


def stream(request):
    return Response(app_iter=(b"%d " % number for number in range(4)), content_type="text/plain")


def failing(request):
    raise LookupError("out of cheese")


def excuse(error, request):
    return Response(f"sorry: {error}", status=503)


with Configurator() as config:
    config.set_session_factory(SignedCookieSessionFactory("gallery"))
    config.add_route("path", "/path/*rest")
    config.add_view(path, route_name="path", renderer="json")
    config.add_route("upload", "/upload")
    config.add_view(upload, route_name="upload", renderer="json", request_method="POST")
    for view in (count, found, source, stream, failing):
        config.add_route(view.__name__, "/" + view.__name__)
        config.add_view(view, route_name=view.__name__)
    config.add_exception_view(excuse, context=LookupError)
    application = config.make_wsgi_app()
