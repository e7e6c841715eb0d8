//! Methods, statuses and headers of all shapes, and connections that are reused.

use test_support::{Language, OneApp, Request, for_each_language};

for_each_language! {
    fn takes_post_and_put(language) {
        let setup = OneApp::of(language);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::new(method, "/echo").body("a body").header("Content-Type", "text/x");
            let response = setup.nginx.send(request).expect(200);
            assert_eq!(response.text(), "a body", "{method}");
            assert_eq!(response.header("Content-Type"), Some("text/x"));
        }
        assert_eq!(setup.nginx.send(Request::post("/echo", "")).expect(200).text(), "");
    }

    fn answers_head_204_and_304_without_a_body(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        let hello_len = format!("hello from {}\n", language.name()).len().to_string();
        // On one connection: a body where none belongs would be taken for the next response.
        client.send(Request::new("HEAD", "/").bytes("keep-alive"));
        assert_eq!(client.read_response_to("HEAD").expect(200).header("Content-Length"), Some(hello_len.as_str()));
        for code in [204, 304] {
            client.send(Request::get(&format!("/status?code={code}")).bytes("keep-alive"));
            let response = client.read_response().expect(code);
            assert_eq!(response.header("Transfer-Encoding"), None);
        }
        client.send(Request::get("/").bytes("close"));
        assert_eq!(client.read_response().expect(200).text().len().to_string(), hello_len);
    }

    fn passes_on_any_status(language) {
        let setup = OneApp::of(language);
        for code in [201, 202, 301, 400, 404, 418, 500, 503] {
            assert_eq!(setup.nginx.get(&format!("/status?code={code}")).status(), code);
        }
    }

    fn answers_many_requests_on_one_connection(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        for turn in 0..50 {
            let body = format!("turn {turn}");
            client.send(Request::post("/echo", body.as_bytes()).bytes("keep-alive"));
            assert_eq!(client.read_response().expect(200).text(), body);
        }
        // And all at once: nginx answers pipelined requests in order.
        let pipelined: Vec<u8> = (0..5).flat_map(|_| Request::get("/").bytes("keep-alive")).collect();
        client.send(pipelined);
        for _ in 0..5 {
            client.read_response().expect(200);
        }
    }

    fn takes_big_headers_both_ways(language) {
        let lines = "large_client_header_buffers 8 64k; passenger_buffer_size 64k; passenger_buffers 8 64k;";
        let setup = OneApp::with(language, lines, |daemon| daemon);
        let big = "a".repeat(12_000);
        let response = setup.nginx.send(Request::get("/env").header("X-Big", &big)).expect(200);
        assert!(response.text().contains(&big), "the app has not seen all of it");
        let response = setup.nginx.get("/header?bytes=12000").expect(200);
        assert_eq!(response.header("X-Big").map(str::len), Some(12_000));
    }
}

for_each_language! {
    [ruby, python]
    fn survives_invalid_clients(language) {
        let setup = OneApp::of(language);
        let pid = setup.app_pid();
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"[..],
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET / HTTP/3.0\r\n\r\n",
            b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ] {
            let mut client = setup.nginx.connect();
            client.send(bytes).half_close();
            let answer = String::from_utf8_lossy(&client.read_to_end()).into_owned();
            assert!(answer.is_empty() || answer.contains(" 4") || answer.contains(" 5"), "{answer}");
        }
        assert_eq!(setup.app_pid(), pid);
    }
}

#[test]
fn an_http_1_0_client_gets_an_unchunked_answer() {
    let setup = OneApp::of(Language::Ruby);
    setup.test_dir.open_gate("open");
    let mut client = setup.nginx.connect();
    client.send("GET /stream?name=open HTTP/1.0\r\n\r\n");
    let response = client.read_response().expect(200);
    assert_eq!(response.header("Transfer-Encoding"), None);
    assert_eq!(response.text(), "first\nsecond\n");
}
