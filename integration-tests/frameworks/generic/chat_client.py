"""Two members of the chat: each gets what the first one writes."""

import asyncio
import sys

from tornado.websocket import websocket_connect


async def main():
    url = "ws://127.0.0.1:%s/chat" % sys.argv[1]
    first, second = await websocket_connect(url), await websocket_connect(url)
    large = bytes(range(256)) * 2000
    for message in ["grüße", large]:
        await first.write_message(message, binary=isinstance(message, bytes))
        for member in (first, second):
            assert await member.read_message() == message
    # Longer than the ping interval of the server, so that pings have passed.
    await asyncio.sleep(1.5)
    await second.write_message("still here")
    assert await first.read_message() == "still here"
    first.close()
    print("talked")


asyncio.run(asyncio.wait_for(main(), 30))
