"""Channels: a chat over WebSockets beside Django's own requests, with its sessions."""

import os

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django = get_asgi_application()

from django.urls import path  # noqa: E402


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def receive_json(self, content):
        await self.channel_layer.group_send("room", {"type": "said", "text": content["text"], "by": str(self.scope["user"])})

    async def said(self, event):
        await self.send_json({"text": event["text"], "by": event["by"], "room": self.room})

    async def disconnect(self, code):
        await self.channel_layer.group_discard("room", self.channel_name)


application = ProtocolTypeRouter(
    {"http": django, "websocket": AuthMiddlewareStack(URLRouter([path("chat/<str:room>", Chat.as_asgi())]))}
)
