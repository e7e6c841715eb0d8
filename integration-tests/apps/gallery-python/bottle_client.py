from gallery import check_paths, done, get, post

check_paths()
answer = post("/form", data={"name": "Zoë"}, files={"file": ("a.bin", b"y" * 300_000)}).json()
assert answer == {"name": "Zoë", "size": 300_000, "file": "a.bin"}, answer
assert [get("/count").text for _ in range(3)] == ["1", "2", "3"]
source = get("/static/passenger_wsgi.py")
assert source.text.startswith('"""Bottle'), source.text[:50]
assert get("/static/passenger_wsgi.py", 206, headers={"Range": "bytes=3-8"}).text == "Bottle"
get("/static/passenger_wsgi.py", 304, headers={"If-Modified-Since": source.headers["Last-Modified"]})
assert get("/stream").content.decode() == "begin é end"
assert get("/page").text == "<b>a &lt; b</b>"
assert get("/teapot", 418).headers["X-Kind"] == "pot"
get("/none", 404)
done()
