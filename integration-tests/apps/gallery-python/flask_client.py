import websocket
from gallery import BASE, PORT, check_paths, checked, done, get, post, session

check_paths()
assert [get("/count").text for _ in range(3)] == ["1", "2", "3"]
answer = post("/upload", files={"file": ("ünï.bin", b"x" * 1_000_000)}, data={"note": "é"}).json()
assert answer == {"name": "ünï.bin", "size": 1_000_000, "note": "é"}, answer
assert post("/json", json={"number": 21}).json() == {"twice": 42}
assert get("/stream", params={"name": "n"}).text == "n0 n1 n2 "
assert len(get("/file").content) == 100_000
part = get("/file", 206, headers={"Range": "bytes=5-9"})
assert (part.text, part.headers["Content-Range"]) == ("56789", "bytes 5-9/100000")
whole = get("/source")
get("/source", 304, headers={"If-None-Match": whole.headers["ETag"]})
assert session.head(BASE + "/source").headers["Content-Length"] == str(len(whole.content))
assert get("/redirect", 302).headers["Location"] == "/path/a%20b/%C3%A9"
get("/missing", 404)
post("/path/x", 405)
socket = websocket.create_connection(f"ws://127.0.0.1:{PORT}/echo", timeout=30)
for message in ("hello", "é" * 50_000):
    socket.send(message)
    assert socket.recv() == message
socket.send_binary(b"\0\xff" * 1000)
assert socket.recv() == b"\0\xff" * 1000
# Others are served meanwhile.
get("/count")
socket.send("close")
opcode, data = socket.recv_data()
assert (opcode, data) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8as asked"), (opcode, data)
socket.close()
for _ in range(10):
    # Connections of WebSockets that have ended do not occupy threads.
    again = websocket.create_connection(f"ws://127.0.0.1:{PORT}/echo", timeout=30)
    again.send("x")
    assert again.recv() == "x"
    again.close()
checked(session.get(BASE + "/count"), 200)
done()
