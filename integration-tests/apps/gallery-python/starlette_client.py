import websocket
from gallery import BASE, PORT, check_paths, checked, done, eventually, get, post, session

check_paths()
assert get("/events").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
about = get("/about?a=%20").json()
assert (about["fruit"], about["version"], about["raw"]) == ("pear", "1.1", "/about"), about
assert (about["url"], about["inner"]) == (BASE + "/about?a=%20", BASE + "/static/a.txt"), about
eventually("/finished", ["events"])
assert post("/upload", files={"file": ("é", b"x" * 2_000_000)}).json() == {"name": "é", "size": 2_000_000}
assert checked(session.put(BASE + "/length", data=(b"z" * 9_999 for _ in range(50))), 200).text == "499950"
source = get("/source")
assert source.text.startswith('"""Starlette') and source.headers["Content-Length"] == str(len(source.content))
assert get("/source", 206, headers={"Range": "bytes=3-11"}).text == "Starlette"
assert session.head(BASE + "/source").headers["ETag"] == source.headers["ETag"]
assert get("/static/passenger_wsgi.py").text == source.text
get("/static/passenger_wsgi.py", 304, headers={"If-None-Match": get("/static/passenger_wsgi.py").headers["ETag"]})
get("/static/none", 404)
socket = websocket.create_connection(f"ws://127.0.0.1:{PORT}/echo", subprotocols=["other", "echo"], timeout=30)
assert socket.getsubprotocol() == "echo"
for size in (0, 1, 126, 70_000, 2_000_000):
    socket.send_binary(b"x" * size)
    assert socket.recv() == b"x" * size
socket.ping("still there")
assert socket.recv_data_frame(control_frame=True)[1].data == b"still there"
socket.close()
done()
