import json
import sys

from gallery import BASE, PORT, check_paths, done, get, post, session

check_paths()
assert [get("/count").text for _ in range(3)] == ["1", "2", "3"]
token = get("/form").text
post("/form", 403, data={"name": "x"})
assert post("/form", data={"name": "Zoë", "csrfmiddlewaretoken": token}).json() == {"name": "Zoë"}
for size in (10, 4_000_000):
    assert post("/upload", files={"file": ("é.bin", b"x" * size)}).json() == {"name": "é.bin", "size": size}
assert get("/stream").text == "0 1 2 3 "
assert get("/slow").text == "1"
source = get("/source")
assert source.text.startswith('"""A Django') and source.headers["Content-Length"] == str(len(source.content))
assert get("/moved", 302).headers["Location"] == "/path/a%20b/%C3%A9"
assert get("/about?a=%20").json() == {"uri": BASE + "/about?a=%20", "debug": False, "secure": False}
get("/none", 404)

login = get("/admin/login/")
assert "Django administration" in login.text
fields = {"username": "admin", "password": "secret", "csrfmiddlewaretoken": session.cookies["csrftoken"], "next": "/admin/"}
assert post("/admin/login/", 302, data=fields).headers["Location"] == "/admin/"
fields = {"name": "café & co", "csrfmiddlewaretoken": session.cookies["csrftoken"]}
post("/admin/auth/group/add/", 302, data=fields)
assert "café &amp; co" in get("/admin/auth/group/?q=caf%C3%A9").text

if "channels" in sys.argv:
    import websocket

    cookies = "; ".join(f"{name}={value}" for name, value in session.cookies.items())
    url = f"ws://127.0.0.1:{PORT}/chat/"
    one = websocket.create_connection(url + "r%20%C3%A9", cookie=cookies, timeout=30)
    other = websocket.create_connection(url + "other", timeout=30)
    one.send(json.dumps({"text": "é"}))
    assert json.loads(one.recv()) == {"text": "é", "by": "admin", "room": "r é"}
    assert json.loads(other.recv()) == {"text": "é", "by": "admin", "room": "other"}
    other.send(json.dumps({"text": "x"}))
    assert json.loads(one.recv())["by"] == "AnonymousUser"
    one.close()
    other.close()
done()
