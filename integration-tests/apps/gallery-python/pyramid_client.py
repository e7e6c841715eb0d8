from gallery import BASE, check_paths, done, get, post

check_paths()
assert [get("/count").text for _ in range(3)] == ["1", "2", "3"]
assert post("/upload", files={"file": ("é.txt", b"x" * 150_000)}).json() == {"name": "é.txt", "size": 150_000}
assert get("/found", 302).headers["Location"] == BASE + "/path/a%20b/%C3%A9"
source = get("/source")
assert source.text.startswith('"""Pyramid') and source.headers["Content-Length"] == str(len(source.content))
assert get("/stream").text == "0 1 2 3 "
assert get("/failing", 503).text == "sorry: out of cheese"
get("/none", 404)
done()
