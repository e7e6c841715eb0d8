"""A Tornado application, as its documentation writes it."""

import asyncio
import os

import tornado.iostream
import tornado.web
import tornado.websocket


class Echo(tornado.web.RequestHandler):
    def get(self, path):
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("%s %s %s" % (self.request.path, path, self.get_argument("q", "")))

    def post(self, path):
        files = self.request.files["file"]
        self.write({"name": files[0].filename, "size": len(files[0].body), "note": self.get_argument("note")})


class Count(tornado.web.RequestHandler):
    def get(self):
        count = int(self.get_signed_cookie("count") or 0) + 1
        self.set_signed_cookie("count", str(count))
        self.write(str(count))


class Events(tornado.web.RequestHandler):
    waiting = asyncio.Event()

    async def get(self):
        self.set_header("Content-Type", "text/event-stream")
        self.write("data: 1\n\n")
        await self.flush()
        await Events.waiting.wait()
        self.write("data: 2\n\n")


class GoOn(tornado.web.RequestHandler):
    def get(self):
        Events.waiting.set()


class Chat(tornado.websocket.WebSocketHandler):
    members = set()

    def open(self):
        Chat.members.add(self)

    def on_message(self, message):
        for member in Chat.members:
            member.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        Chat.members.discard(self)


async def main():
    application = tornado.web.Application(
        [("/count", Count), ("/events", Events), ("/go-on", GoOn), ("/chat", Chat), ("/(.*)", Echo)],
        cookie_secret="only for tests",
        websocket_ping_interval=1,
    )
    application.listen(int(os.environ["PORT"]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
