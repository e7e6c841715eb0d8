from gallery import BASE, check_paths, checked, done, get, post, session

check_paths()
answer = post("/media", 201, json={"number": 4})
assert (answer.json(), answer.headers["X-Seen"]) == ({"twice": 8}, "yes")
assert post("/form", files={"a": ("a", b"x" * 200_000), "b": ("b", b"y")}).json() == {"a": 200_000, "b": 1}
assert get("/stream").content == b"0123456789" * 30_000
chunks = (b"z" * 5_000 for _ in range(100))
assert checked(session.put(BASE + "/stream", data=chunks), 200).text == "500000"
assert get("/conflict", 409).json() == {"title": "taken", "description": "é"}
assert get("/static/passenger_wsgi.py").text.startswith('"""Falcon')
assert session.options(BASE + "/media").headers["Allow"] == "POST"
get("/none", 404)
done()
