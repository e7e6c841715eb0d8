import queue

import socketio
from gallery import BASE, check_paths, done

check_paths()


def conversation(transports):
    events = queue.Queue()
    clients = []
    for _ in range(2):
        client = socketio.Client()
        client.on("said", lambda text: events.put(text))
        client.on("done", lambda text: events.put(text))
        client.connect(BASE, transports=transports, wait_timeout=30)
        assert client.call("join", "room", timeout=30) == 4
        clients.append(client)
    first, second = clients
    assert first.transport() == transports[-1] or len(transports) > 1
    assert first.call("echo", "é", timeout=30) == "echo é"
    assert first.call("bytes", b"\0\xff", timeout=30) == b"\0\xff\0\xff"
    second.emit("say", ("room", "to all"))
    assert [events.get(timeout=30) for _ in range(2)] == ["to all"] * 2
    first.emit("later", "in the background")
    assert events.get(timeout=30) == "in the background"
    transport = first.transport()
    for client in clients:
        client.disconnect()
    return transport


assert conversation(["polling"]) == "polling"
assert conversation(["websocket"]) == "websocket"
# Begins with long polling, and upgrades.
assert conversation(["polling", "websocket"]) == "websocket"
done()
