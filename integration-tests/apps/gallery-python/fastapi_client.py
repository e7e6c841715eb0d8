import json

import websocket
from gallery import PORT, check_paths, done, eventually, get, post

check_paths()
assert post("/items", 201, json={"name": "é", "price": 1.5}).json() == {"name": "é", "price": 1.5}
assert post("/items", 422, json={"name": "é"}).json()["detail"][0]["loc"] == ["body", "price"]
get("/me", 401)
assert get("/me", headers={"X-User": "ann"}).json() == {"name": "ann"}
answer = post("/upload", files={"file": ("a b.bin", b"x" * 3_000_000)}, data={"note": "ö"}).json()
assert answer == {"name": "a b.bin", "size": 3_000_000, "note": "ö"}, answer
stream = get("/stream")
assert stream.headers["Content-Encoding"] == "gzip"
assert stream.text == "".join(f"{number}\n" * 100 for number in range(20))
assert post("/notes/first").json() == {"queued": "first"}
eventually("/notes", ["first"])
assert "Swagger UI" in get("/docs").text
assert "/path/{rest}" in get("/openapi.json").json()["paths"]
ann = websocket.create_connection(f"ws://127.0.0.1:{PORT}/chat/ann", timeout=30)
assert ann.getheaders()["x-room"] == "1"
# Its own message comes back to Ann once she is in the room.
ann.send(json.dumps({"text": "one"}))
assert json.loads(ann.recv()) == {"from": "ann", "text": "one"}
bob = websocket.create_connection(f"ws://127.0.0.1:{PORT}/chat/bob%20b", timeout=30)
bob.send(json.dumps({"text": "zwö"}))
assert json.loads(bob.recv()) == {"from": "bob b", "text": "zwö"} == json.loads(ann.recv())
ann.close()
bob.close()
try:
    websocket.create_connection(f"ws://127.0.0.1:{PORT}/chat/nobody", timeout=30)
    raise AssertionError("the refused WebSocket was accepted")
except websocket.WebSocketBadStatusException as refused:
    assert refused.status_code == 403, refused
done()
