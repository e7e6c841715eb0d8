//! Request bodies: buffered or streamed, with a length or in chunks.

use test_support::{Connection, Language, OneApp, eventually, for_each_language};

const UNBUFFERED: &str = "passenger_request_buffering off;";

for_each_language! {
    fn gets_a_chunked_body_without_its_chunks(language) {
        let setup = OneApp::of(language);
        chunked_in_parts(&setup, &mut setup.nginx.connect());
    }

    fn gets_a_chunked_body_without_its_chunks_unbuffered(language) {
        let setup = OneApp::with(language, UNBUFFERED, |daemon| daemon);
        chunked_in_parts(&setup, &mut setup.nginx.connect());
    }

    fn sees_the_first_part_before_the_rest_is_sent(language) {
        let setup = OneApp::with(language, UNBUFFERED, |daemon| daemon);
        let mut client = setup.nginx.connect();
        client.send("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst");
        eventually("the app sees the first part", || {
            std::fs::read_to_string(setup.test_dir.scratch("first")).is_ok_and(|text| text == "first")
        });
        client.send("seconds");
        assert_eq!(client.read_response().expect(200).text(), "then 7");
    }

    fn sees_the_first_chunk_before_the_rest_is_sent(language) {
        let setup = OneApp::with(language, UNBUFFERED, |daemon| daemon);
        let mut client = setup.nginx.connect();
        client.send("POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        eventually("the app sees the first chunk", || {
            std::fs::read_to_string(setup.test_dir.scratch("first")).is_ok_and(|text| text == "first")
        });
        client.send("7\r\nseconds\r\n0\r\n\r\n");
        assert_eq!(client.read_response().expect(200).text(), "then 7");
    }

    fn may_leave_a_body_unread(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        // `/pid` does not look at its body; the connections behind must stay usable. At sizes around what the sockets
        // between nginx and the app hold, the last bytes can be under way when the answer comes: they must not be
        // taken for the next request, nor that request for them.
        for size in (200_000..520_000).step_by(10_000) {
            let body = "z".repeat(size);
            client.send(test_support::Request::post("/pid", body.as_bytes()).bytes("keep-alive"));
            client.read_response().expect(200);
            client.send(test_support::Request::post("/echo", "read").bytes("keep-alive"));
            assert_eq!(client.read_response().expect(200).text(), "read");
        }
    }

    fn gets_100_continue(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        assert_eq!(client.read_head().status, 100);
        client.send("body");
        assert_eq!(client.read_response().expect(200).text(), "body");
    }
}

for_each_language! {
    [ruby, python]
    fn knows_the_length_of_a_buffered_chunked_body(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send("POST /env HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        let env = client.read_response().expect(200).json();
        assert_eq!(env["CONTENT_LENGTH"], "5");
        assert_eq!(env["HTTP_TRANSFER_ENCODING"], serde_json::Value::Null);
    }
}

for_each_language! {
    [ruby, python]
    fn knows_that_a_buffered_chunked_body_is_empty(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send("POST /env HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        assert_eq!(client.read_response().expect(200).json()["CONTENT_LENGTH"], "0");
        client.send("POST /env HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read_response().expect(200).json()["CONTENT_LENGTH"], serde_json::Value::Null);
    }
}

#[test]
fn a_buffered_upload_occupies_no_process() {
    let lines = format!("{UNBUFFERED} passenger_buffer_upload on;");
    let setup = OneApp::with(Language::Ruby, &lines, |daemon| daemon.flag("--max-pool-size=1"));
    let pid = setup.app_pid();
    let mut slow = setup.nginx.connect();
    slow.send("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nfirst");
    assert_eq!(setup.app_pid(), pid, "the only process is free");
    assert!(!setup.test_dir.scratch("first").exists());
    slow.send("seconds");
    slow.read_response().expect(200);
    assert!(!setup.daemon.log().contains("without effect"), "{}", setup.daemon.log());
}

#[test]
fn a_client_that_leaves_in_its_body_disturbs_nobody() {
    for lines in ["", UNBUFFERED] {
        let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon);
        let pid = setup.app_pid();
        for _ in 0..5 {
            let mut client = setup.nginx.connect();
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nonly a part");
        }
        assert_eq!(setup.app_pid(), pid);
        let mut client = setup.nginx.connect();
        client.send(test_support::Request::post("/echo", "whole").bytes("close"));
        assert_eq!(client.read_response().expect(200).text(), "whole");
    }
}

fn chunked_in_parts(setup: &OneApp, client: &mut Connection) {
    setup.app_pid();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    // Cut where it hurts: inside a size, inside data, between CR and LF.
    for part in [
        "5\r\nhe",
        "llo\r",
        "\n1",
        "0\r\n, this is more!",
        "!\r\n6;ext=1\r\n bytes\r\n",
        "0\r\nTrailer: x\r\n\r\n",
    ] {
        client.send(part);
    }
    assert_eq!(client.read_response().expect(200).text(), "hello, this is more!! bytes");
}
