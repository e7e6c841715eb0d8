//! Response bodies of Rack apps as a client receives them.

use test_support::{OneApp, Request};

const RUBY: &str = r#"
    CHUNKED = { 'Content-Type' => 'text/plain', 'Transfer-Encoding' => 'chunked' }.freeze
    run ->(env) {
      case env['PATH_INFO']
      when '/chunked' then [200, CHUNKED, ["5\r\nhel", "lo\r\n6\r\n", " world\r\n0\r\n\r\n"].each]
      when '/broken' then [200, CHUNKED, ["5\r\nhello\r\nno chunk"]]
      when '/endless' then [200, CHUNKED, ["5\r\nhello\r\n"]]
      when '/partial'
        body = ->(io) { io.write("5\r\nhello\r\n0\r\n\r\n"); io.close }
        [200, CHUNKED.merge('rack.hijack' => body), []]
      when '/fails' then [200, { 'Content-Type' => 'text/plain' }, Enumerator.new { |y| y << 'begun'; raise 'out of cheese' }]
      when '/line'
        line = env['rack.input'].gets
        [200, { 'Content-Type' => 'text/plain' }, Enumerator.new { |y| y << line; y << env['rack.input'].read }]
      else [200, { 'Content-Type' => 'text/plain' }, ['hello']]
      end
    }
"#;

#[test]
fn what_a_rack_app_has_chunked_arrives_without_the_chunks() {
    let setup = OneApp::app("", |app| app.ruby(RUBY));
    for (path, body) in [("/chunked", "hello world"), ("/partial", "hello")] {
        assert_eq!(setup.nginx.get(path).expect(200).text(), body);
        assert!(setup.nginx.send(Request::new("HEAD", path)).expect(200).body.is_empty());
    }
    assert_eq!(setup.nginx.get("/").expect(200).text(), "hello");
}

#[test]
fn broken_chunks_and_failing_bodies_end_the_response_visibly() {
    let setup = OneApp::app("", |app| app.ruby(RUBY));
    for path in ["/broken", "/endless", "/fails"] {
        let mut client = setup.nginx.connect();
        client.send(Request::get(path).bytes("close"));
        let head = client.read_head();
        assert_eq!(head.status, 200);
        let whole = client.read_body(&head, "GET", |_| ());
        assert!(!matches!(whole, Ok(true)), "{path}: the visitor takes it for complete");
        assert_eq!(setup.nginx.get("/").expect(200).text(), "hello");
    }
}

#[test]
fn a_line_of_the_body_is_read_before_the_body_is_complete() {
    let setup = OneApp::app("passenger_request_buffering off;", |app| app.ruby(RUBY));
    let mut client = setup.nginx.connect();
    client.send("POST /line HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    client.send("6\r\nfirst\n\r\n");
    client.read_until("first\n");
    client.send("6\r\nsecond\r\n0\r\n\r\n");
    client.read_until("second");
}
