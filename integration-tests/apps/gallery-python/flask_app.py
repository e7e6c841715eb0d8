"""Flask: sessions, forms, uploads, streaming, files, errors, and WebSockets by flask-sock."""

import io
import time

from flask import Flask, Response, abort, jsonify, request, send_file, session, stream_with_context, url_for
from flask_sock import Sock

application = Flask(__name__)
application.secret_key = "gallery"
sock = Sock(application)


@application.route("/path/<path:rest>")
def path(rest):
    return jsonify(path=rest, q=request.args.get("q"))


@application.route("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@application.route("/upload", methods=["POST"])
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, size=len(file.read()), note=request.form["note"])


@application.route("/json", methods=["POST"])
def json():
    return jsonify(twice=request.get_json()["number"] * 2)


@application.route("/stream")
def stream():
    def parts():
        for number in range(3):
            yield f"{request.args['name']}{number} "
            time.sleep(0.01)

    return Response(stream_with_context(parts()), mimetype="text/plain")


@application.route("/file")
def file():
    return send_file(io.BytesIO(b"0123456789" * 10_000), mimetype="text/plain", download_name="digits.txt", conditional=True)


@application.route("/source")
def source():
    return send_file(__file__, conditional=True)


@application.route("/redirect")
def redirect():
    return "", 302, {"Location": url_for("path", rest="a b/é")}


@application.route("/missing")
def missing():
    abort(404)


@sock.route("/echo")
def echo(ws):
    while True:
        message = ws.receive()
        if message == "close":
            ws.close(1000, "as asked")
        ws.send(message)
