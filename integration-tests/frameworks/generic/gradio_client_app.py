"""A user of the application, by Gradio's own client, which speaks as its page does."""

import sys

from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:%s/" % sys.argv[1], verbose=False)
assert client.predict("grüße", api_name="/greet") == "Hello grüße!"
job = client.submit(3, api_name="/count")
assert job.result() == 3
assert job.outputs() == [1, 2, 3], job.outputs()
with open(sys.argv[2], "wb") as file:
    file.write(bytes(range(256)) * 1000)
assert client.predict(handle_file(sys.argv[2]), api_name="/size") == 256000
print("used")
