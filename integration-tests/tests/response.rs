//! Responses of apps, usual and unusual ones.

use test_support::{OneApp, for_each_language};

for_each_language! {
    fn keeps_each_cookie_a_line(language) {
        let setup = OneApp::of(language);
        let response = setup.nginx.get("/cookies").expect(200);
        assert_eq!(response.head.all("Set-Cookie"), ["a=1; Path=/", "b=2; Path=/"]);
    }

    fn a_body_shorter_than_announced_is_seen_as_cut(language) {
        let setup = OneApp::of(language);
        let response = setup.nginx.get("/short");
        assert!(!response.complete, "{}", response.text());
        assert_eq!(response.header("Content-Length"), Some("100"));
        assert_eq!(response.text(), "only this");
        setup.nginx.get("/").expect(200);
    }

    fn follows_x_accel_redirect(language) {
        let lines = "location /internal/ { internal; passenger_enabled off; alias %%DIR%%/app/private/; }";
        let setup = OneApp::with(language, lines, |daemon| daemon);
        setup.app.write("private/secret.txt", "a file only the app may show");
        let response = setup.nginx.get("/accel").expect(200);
        assert_eq!(response.text(), "a file only the app may show");
        assert_eq!(response.header("X-Accel-Redirect"), None);
        assert_eq!(setup.nginx.get("/internal/secret.txt").status(), 404);
        let mut client = setup.nginx.connect();
        for _ in 0..5 {
            client.send(test_support::Request::get("/accel").bytes("keep-alive"));
            client.read_response().expect(200);
        }
    }

    fn carries_the_headers_that_belong_to_a_response(language) {
        let setup = OneApp::of(language);
        let response = setup.nginx.get("/").expect(200);
        assert!(response.header("Date").is_some());
        assert!(response.header("Server").is_some_and(|value| value.starts_with("nginx")));
        for name in ["Keep-Alive", "Transfer-Encoding"] {
            assert_eq!(response.header(name), None, "{name}");
        }
    }
}

for_each_language! {
    [ruby, python]
    fn refuses_a_header_with_a_line_break(language) {
        let setup = OneApp::of(language);
        let response = setup.nginx.get("/inject");
        assert!(matches!(response.status(), 500 | 502), "{}", response.status());
        assert_eq!(response.header("X-Injected"), None);
        assert_eq!(response.header("X-Bad"), None);
        setup.daemon.logs_eventually("line break");
        setup.nginx.get("/").expect(200);
    }
}

#[test]
fn a_response_longer_than_announced_is_cut_at_its_length() {
    let ruby = r#"
        class Parts
          def initialize(*parts) = @parts = parts
          def each(&sink) = @parts.each(&sink)
        end
        run ->(env) {
          parts = env['PATH_INFO'] == '/ok' ? ['good'] : ['good', 'HTTP/1.1 200 evil']
          [200, { 'Content-Length' => '4' }, Parts.new(*parts)]
        }
    "#;
    let setup = OneApp::app("", |app| app.ruby(ruby));
    let mut client = setup.nginx.connect();
    client.send(test_support::Request::get("/ok").bytes("keep-alive"));
    assert_eq!(client.read_response().expect(200).text(), "good");
    client.send(test_support::Request::get("/long").bytes("keep-alive"));
    assert_eq!(client.read_response().text(), "good");
    // Whatever became of that connection, no client receives the rest as a response.
    for _ in 0..3 {
        assert_eq!(setup.nginx.get("/ok").expect(200).text(), "good");
    }
}

#[test]
fn the_apps_own_reason_and_unknown_statuses_pass() {
    let ruby = "run ->(env) { [env['QUERY_STRING'].to_i, { 'Content-Type' => 'text/plain' }, ['x']] }";
    let setup = OneApp::app("", |app| app.ruby(ruby));
    for status in [299, 422, 599] {
        assert_eq!(setup.nginx.get(&format!("/?{status}")).status(), status);
    }
}

#[test]
fn bodies_of_all_rack_kinds_arrive() {
    let ruby = r#"
        class Each
          def each; yield 'a'; yield ''; yield 'b'; end
        end
        class Call
          def call(stream) = (stream.write('streamed'); stream.close)
        end
        KINDS = {
          '/array' => -> { ['one', 'two'] },
          '/empty' => -> { [] },
          '/each' => -> { Each.new },
          '/enumerator' => -> { %w[x y z].each },
          '/file' => -> { File.open(__FILE__) },
          '/binary' => -> { ["\x00\xff\r\n".b] },
        }
        run ->(env) { [200, { 'content-type' => 'text/plain' }, KINDS.fetch(env['PATH_INFO']).call] }
    "#;
    let setup = OneApp::app("", |app| app.ruby(ruby));
    let body = |path: &str| setup.nginx.get(path).expect(200).body;
    assert_eq!(body("/array"), b"onetwo");
    assert_eq!(body("/empty"), b"");
    assert_eq!(body("/each"), b"ab");
    assert_eq!(body("/enumerator"), b"xyz");
    assert_eq!(body("/file"), ruby.as_bytes());
    assert_eq!(body("/binary"), b"\x00\xff\r\n");
}

#[test]
fn rack_3_headers_and_streaming_bodies_work() {
    let ruby = r#"
        class Call
          def call(stream)
            stream.write('streamed')
            stream.close
          end
        end
        run ->(env) {
          if env['PATH_INFO'] == '/call'
            [200, { 'content-type' => 'text/plain' }, Call.new]
          else
            [200, { 'set-cookie' => ['a=1', 'b=2'], 'content-type' => 'text/plain' }, ['ok']]
          end
        }
    "#;
    let setup = OneApp::app("", |app| app.ruby(ruby));
    assert_eq!(setup.nginx.get("/").expect(200).head.all("Set-Cookie"), ["a=1", "b=2"]);
    assert_eq!(setup.nginx.get("/call").expect(200).text(), "streamed");
}

#[test]
fn the_wsgi_write_callable_and_close_work() {
    let python = r#"
class Body:
    def __iter__(self):
        return iter([b"iterated"])
    def close(self):
        open(__file__.replace("passenger_wsgi.py", "scratch/closed"), "w").close()

def application(env, start):
    write = start("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return Body()
"#;
    let setup = OneApp::app("", |app| app.python(python));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "written iterated");
    test_support::eventually("close() was called", || setup.test_dir.scratch("closed").exists());
}
