"""A client of the feed, by the library that Sanic uses."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main():
    async with connect("ws://127.0.0.1:%s/feed" % sys.argv[1]) as socket:
        for message in ["one", "grüße"]:
            await socket.send(message)
            assert await socket.recv() == "you wrote " + message
    print("talked")


asyncio.run(asyncio.wait_for(main(), 30))
