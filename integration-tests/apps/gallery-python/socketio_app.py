"""Flask-SocketIO in its threading mode: rooms, acknowledgements, broadcasts, background tasks."""

from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

application = Flask(__name__)
application.secret_key = "gallery"
socketio = SocketIO(application, async_mode="threading")


@application.route("/path/<path:rest>")
def path(rest):
    return {"path": rest, "q": request.args.get("q")}


@socketio.on("echo")
def echo(text):
    return "echo " + text


@socketio.on("join")
def join(room):
    join_room(room)
    return len(room)


@socketio.on("say")
def say(room, text):
    emit("said", text, to=room)


@socketio.on("later")
def later(text):
    socketio.start_background_task(socketio.emit, "done", text, to=request.sid)


@socketio.on("bytes")
def double(data):
    return data + data
