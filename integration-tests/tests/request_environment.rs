//! The environment that an app gets for a request, byte for byte.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde_json::Value;
use test_support::{Connection, Language, OneApp, for_each_language};

/// A request with everything that has been a trap somewhere.
const TRAPS: &[u8] = b"PUT /env?a=b%20c&d=%C3%A9&e=%2F HTTP/1.1\r\n\
    Host: example.test:8080\r\n\
    User-Agent: bytes/1.0\r\n\
    X-Latin: caf\xe9\r\n\
    X-Utf8: \xc3\xa9\r\n\
    X-Twice: one\r\n\
    X-Twice: two\r\n\
    X-Empty:\r\n\
    X_Spoofed: yes\r\n\
    Cookie: a=1\r\n\
    Cookie: b=2\r\n\
    Proxy: http://evil.test/\r\n\
    X-Forwarded-Proto: https\r\n\
    Content-Type: text/weird; x=\"y\"\r\n\
    Content-Length: 3\r\n\
    Connection: close\r\n\
    \r\nabc";

for_each_language! {
    [ruby, python]
    fn gets_the_exact_request(language) {
        let setup = OneApp::of(language);
        setup.app_pid();
        let mut client = setup.nginx.connect();
        let env = asked(&mut client, TRAPS);
        let port = client.local_port().to_string();
        let expected: BTreeMap<&str, &str> = [
            ("REQUEST_METHOD", "PUT"),
            ("REQUEST_URI", "/env?a=b%20c&d=%C3%A9&e=%2F"),
            ("PATH_INFO", "/env"),
            ("SCRIPT_NAME", ""),
            ("QUERY_STRING", "a=b%20c&d=%C3%A9&e=%2F"),
            ("SERVER_NAME", "example.test"),
            ("SERVER_PORT", "8080"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REMOTE_PORT", &port),
            ("CONTENT_TYPE", "text/weird; x=\"y\""),
            ("CONTENT_LENGTH", "3"),
            ("HTTP_HOST", "example.test:8080"),
            ("HTTP_USER_AGENT", "bytes/1.0"),
            ("HTTP_X_LATIN", "caf\u{e9}"),
            ("HTTP_X_UTF8", "\u{c3}\u{a9}"),
            ("HTTP_X_TWICE", "one,two"),
            ("HTTP_X_EMPTY", ""),
            ("HTTP_COOKIE", "a=1;b=2"),
            ("HTTP_X_FORWARDED_PROTO", "https"),
        ]
        .into();
        for (name, value) in &expected {
            // A list is joined with or without a space.
            let seen = env.get(*name).map(|value| value.replace(", ", ",").replace("1; b", "1;b"));
            let seen = if *name == "CONTENT_TYPE" { env.get(*name).cloned() } else { seen };
            assert_eq!(seen.as_deref(), Some(*value), "{name} in {env:#?}");
        }
        let allowed =
            ["SERVER_SOFTWARE", "HTTP_VERSION", "HTTP_PROXY", "HTTP_X_REQUEST_ID", "HTTP_X_REQUEST_START"];
        let unknown: Vec<&String> = env.keys().filter(|name| !expected.contains_key(name.as_str())).collect();
        let unknown: Vec<_> = unknown.into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "nothing else belongs there: {unknown:?} in {env:#?}");
        assert!(!env["SERVER_SOFTWARE"].is_empty());
    }

    [ruby, python]
    fn gets_a_minimal_request(language) {
        let setup = OneApp::of(language);
        let env = asked(&mut setup.nginx.connect(), b"GET /env HTTP/1.0\r\n\r\n");
        assert_eq!(env["REQUEST_METHOD"], "GET");
        assert_eq!(env["QUERY_STRING"], "");
        assert_eq!(env["PATH_INFO"], "/env");
        assert!(!env["SERVER_NAME"].is_empty() && !env["SERVER_PORT"].is_empty(), "{env:?}");
        assert!(!env.contains_key("CONTENT_LENGTH") && !env.contains_key("HTTPS"), "{env:?}");
        assert!(!env.contains_key("HTTP_CONNECTION"), "{env:?}");
    }

    [ruby, python]
    fn keeps_the_escapes_of_the_path(language) {
        let app = match language {
            Language::Ruby => "run ->(env) { [200, {}, [env['PATH_INFO'], ' ', env['REQUEST_URI']]] }",
            _ => "def application(env, start):\n    start('200 OK', [])\n    \
                  return [(env['PATH_INFO'] + ' ' + env['REQUEST_URI']).encode('latin-1')]\n",
        };
        let lines = if language == Language::Ruby { "" } else { "passenger_wsgi_encoded_path on;" };
        let setup = OneApp::app(lines, |dir| if language == Language::Ruby { dir.ruby(app) } else { dir.python(app) });
        let text = setup.nginx.get("/a%2Fb/%C3%A9/c%20d;e?f").expect(200).text();
        assert_eq!(text, "/a%2Fb/%C3%A9/c%20d;e /a%2Fb/%C3%A9/c%20d;e?f");
    }

    [ruby, python]
    fn gets_the_variables_of_the_configuration_with_each_request(language) {
        let setup = OneApp::with(language, "passenger_env_var FRUIT pear;", |daemon| daemon);
        let env = asked(&mut setup.nginx.connect(), b"GET /env HTTP/1.0\r\n\r\n");
        assert_eq!(env["FRUIT"], "pear");
    }

    [node, generic]
    fn gets_the_request_line_and_headers_as_sent(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send(String::from_utf8_lossy(TRAPS).replace('\u{fffd}', "?"));
        let seen = client.read_response().expect(200).json();
        assert_eq!(seen["method"], "PUT");
        assert_eq!(seen["url"], "/env?a=b%20c&d=%C3%A9&e=%2F");
        assert_eq!(seen["version"], "1.1");
        let raw: Vec<&str> = seen["raw"].as_array().unwrap().iter().map(|each| each.as_str().unwrap()).collect();
        let values = |name: &str| -> Vec<&str> {
            let pairs = raw.chunks(2).filter(|pair| pair[0].eq_ignore_ascii_case(name));
            pairs.map(|pair| pair[1]).collect()
        };
        assert_eq!(values("Host"), ["example.test:8080"]);
        assert_eq!(values("X-Twice").join(",").replace(' ', ""), "one,two");
        assert_eq!(values("Content-Length"), ["3"]);
        assert_eq!(values("Content-Type"), ["text/weird; x=\"y\""]);
        assert_eq!(values("X_Spoofed"), [""; 0]);
        assert_eq!(values("X-Forwarded-For"), ["127.0.0.1"]);
        assert_eq!(values("Transfer-Encoding"), [""; 0]);
        assert_ne!(values("Connection"), ["close"], "what the client wants of its connection is nginx's affair");
    }
}

#[test]
fn a_header_with_an_underscore_is_not_mistaken_for_a_dash() {
    // Even where nginx lets such names through.
    let setup = OneApp::with(Language::Ruby, "underscores_in_headers on;", |daemon| daemon);
    let request = b"GET /env HTTP/1.1\r\nHost: a\r\nX-User: real\r\nX_User: forged\r\nX_Only: x\r\nConnection: close\r\n\r\n";
    let env = asked(&mut setup.nginx.connect(), request);
    assert_eq!(env["HTTP_X_USER"], "real");
    assert!(!env.contains_key("HTTP_X_ONLY"), "{env:?}");
}

#[test]
fn an_authenticated_user_is_named() {
    let lines = r#"
        location /env { auth_basic members; auth_basic_user_file %%DIR%%/app/members; }
    "#;
    // {PLAIN} needs no crypt().
    let setup = OneApp::custom(
        lines,
        |daemon| daemon,
        |app| app.standard(Language::Ruby).file("members", "ann:{PLAIN}pw\n"),
    );
    let request =
        b"GET /env HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnB3\r\nConnection: close\r\n\r\n";
    assert_eq!(asked(&mut setup.nginx.connect(), request)["REMOTE_USER"], "ann");
}

#[test]
fn a_client_by_ipv6_is_known_by_its_address() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return test_support::skipped("a_client_by_ipv6_is_known_by_its_address", "there is no IPv6 here");
    }
    for language in [Language::Ruby, Language::Node] {
        let test_dir = test_support::TestDir::new();
        test_dir.app("app").standard(language);
        let _daemon = test_dir.daemon().start();
        let conf = test_support::ONE_APP_CONF
            .replace("listen 127.0.0.1:", "listen [::1]:")
            .replace("%%APP%%", language.directives());
        let nginx = test_dir.nginx(&conf).start();
        let mut client = std::net::TcpStream::connect(("::1", nginx.port())).unwrap();
        client.write_all(b"GET /env HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let reported = if language == Language::Ruby {
            "\"REMOTE_ADDR\":\"::1\""
        } else {
            "\"x-forwarded-for\",\"::1\""
        };
        assert!(answer.replace(": ", ":").contains(reported), "{language:?}: {answer}");
    }
}

/// Sends the bytes, and reads the standard app's `/env` as text.
fn asked(client: &mut Connection, request: &[u8]) -> BTreeMap<String, String> {
    client.send(request);
    let Value::Object(env) = client.read_response().expect(200).json() else { panic!("not an object") };
    env.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
}

for_each_language! {
    fn a_client_cannot_set_remote_user(language) {
        let setup = OneApp::with(language, "passenger_set_header X-Real-User $http_x_forwarded_user;", |daemon| daemon);
        let request = test_support::Request::get("/env").header("X-Forwarded-User", "mallory").header("X-Other", "kept");
        let env = setup.nginx.send(request).expect(200).text().to_lowercase().replace('_', "-");
        assert!(!env.contains("x-forwarded-user"), "{env}");
        assert!(env.contains("kept") && env.contains("x-real-user"), "{env}");
    }
}
