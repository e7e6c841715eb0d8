//! Behaviour on which applications for Passenger rely: one table of cases in three languages, at the root and below a
//! sub-URI.

use test_support::{Language, OneApp, Request, Response, for_each_language};

/// At the root, below `/sub`, and at the root without buffering of requests.
const LINES: &str = r#"
    location /unbuffered/ { rewrite ^/unbuffered(/.*)$ $1 break; passenger_request_buffering off; }
    location ~ ^/sub(/.*|$) {
        alias %%DIR%%/app/public$1;
        passenger_base_uri /sub;
        passenger_app_root %%DIR%%/app;
        passenger_document_root %%DIR%%/app/public;
        passenger_app_group_name sub;
    }
    location /internal/ { internal; passenger_enabled off; alias %%DIR%%/app/private/; }
"#;

fn stub(language: Language) -> OneApp {
    OneApp::app(LINES, |app| {
        let app = match language {
            Language::Ruby => app.ruby(include_str!("fixtures/stub/config.ru")),
            Language::Python => app.python(include_str!("fixtures/stub/passenger_wsgi.py")),
            _ => app.node(include_str!("fixtures/stub/app.js")),
        };
        app.file("private/secret.txt", "a private file").file("public/static file.txt", "a public file")
    })
}

/// The application's two places.
const BASES: [&str; 2] = ["", "/sub"];

/// Runs the cases in both places.
fn in_both(language: Language, cases: impl Fn(&OneApp, &str)) {
    let setup = stub(language);
    for base in BASES {
        cases(&setup, base);
    }
}

#[track_caller]
fn get(setup: &OneApp, base: &str, path: &str) -> Response {
    setup.nginx.get(&format!("{base}{path}"))
}

/// More than any buffer, with every byte in it.
fn binary() -> Vec<u8> {
    (0..=255).cycle().take(400_000).collect()
}

for_each_language! {
    [ruby, python, node]
    fn request_variables_are_those_of_passenger(language) {
        in_both(language, |setup, base| {
            let request = Request::new("REPORT", &format!("{base}/told?a=1&b=%20"));
            let request = request.header("Host", "shop.test").header("Cookie", "c=1; d=2");
            let request = request.header("x-oDD", "kept").header("X-Twice", "1").header("X-Twice", "2");
            let request = request.header("Content-Type", "text/odd").body("abc");
            let reported = setup.nginx.send(request).expect(200).json();
            let uri = format!("{base}/told?a=1&b=%20");
            for (name, value) in [
                ("REQUEST_METHOD", "REPORT"), ("SCRIPT_NAME", base), ("PATH_INFO", "/told"), ("QUERY_STRING", "a=1&b=%20"),
                ("REQUEST_URI", &uri), ("REMOTE_ADDR", "127.0.0.1"), ("CONTENT_TYPE", "text/odd"), ("CONTENT_LENGTH", "3"),
                ("HTTP_COOKIE", "c=1; d=2"), ("HTTP_X_ODD", "kept"), ("HTTP_HOST", "shop.test"), ("SERVER_PROTOCOL", "HTTP/1.1"),
            ] {
                assert_eq!(reported[name], value, "{name} below {base:?}");
            }
            assert_eq!(reported["HTTP_X_TWICE"].as_str().map(|text| text.replace(' ', "")).as_deref(), Some("1,2"));
            assert_eq!(reported["base"].as_str(), Some(base).filter(|base| !base.is_empty()));
        });
    }

    [ruby, python, node]
    fn the_front_page_needs_no_slash_and_static_files_no_app(language) {
        in_both(language, |setup, base| {
            assert_eq!(get(setup, base, "/").expect(200).text(), "front");
            assert_eq!(get(setup, base, "/static%20file.txt").expect(200).text(), "a public file");
            assert_eq!(get(setup, base, "/none").expect(404).text(), "not here");
        });
        let setup = stub(language);
        assert_eq!(setup.nginx.get("/sub").expect(200).text(), "front");
    }

    [ruby, python, node]
    fn escapes_of_a_url_are_kept(language) {
        in_both(language, |setup, base| {
            for path in ["/path/a%20b", "/path/caf%C3%A9", "/path/x%2Fy", "/path/~%7E;v=1?q=%2F+%C3%A9&"] {
                assert_eq!(get(setup, base, path).expect(200).text(), format!("{base}{path}"));
            }
        });
    }

    [ruby, python, node]
    fn methods_reach_the_app(language) {
        in_both(language, |setup, base| {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "LOCK"] {
                let reported = setup.nginx.send(Request::new(method, &format!("{base}/told"))).expect(200).json();
                assert_eq!(reported["REQUEST_METHOD"], method);
            }
            let head = setup.nginx.send(Request::new("HEAD", &format!("{base}/"))).expect(200);
            assert_eq!((head.body.len(), head.header("Content-Length")), (0, Some("5")));
        });
    }

    [ruby, python, node]
    fn uploads_arrive_buffered_and_not_with_a_length_and_in_chunks(language) {
        let setup = stub(language);
        for prefix in ["", "/sub", "/unbuffered"] {
            let echoed = setup.nginx.send(Request::post(&format!("{prefix}/echo"), binary())).expect(201);
            assert!(echoed.body == binary(), "{prefix}");
            assert_eq!(setup.nginx.send(Request::post(&format!("{prefix}/echo"), "")).expect(201).text(), "");
            let mut client = setup.nginx.connect();
            let head = format!("POST {prefix}/size HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
            client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
            for _ in 0..10 {
                client.send([b"4e20\r\n".as_slice(), &[0; 20_000], b"\r\n"].concat());
            }
            client.send("0\r\n\r\n");
            assert_eq!(client.read_response().expect(200).text(), "200000", "{prefix}");
        }
    }

    [ruby, python, node]
    fn statuses_without_a_body(language) {
        in_both(language, |setup, base| {
            for status in [201, 299, 400, 404, 418, 500, 503, 599] {
                assert_eq!(get(setup, base, &format!("/status?{status}")).expect(status).text(), "a body");
            }
            let mut client = setup.nginx.connect();
            for status in [204, 304] {
                client.send(Request::get(&format!("{base}/nothing?{status}")).bytes("keep-alive"));
                assert_eq!(client.read_response().expect(status).body.len(), 0);
            }
            client.send(Request::get(&format!("{base}/empty")).bytes("keep-alive"));
            assert_eq!(client.read_response().expect(200).header("Content-Length"), Some("0"));
            client.send(Request::get(&format!("{base}/")).bytes("close"));
            assert_eq!(client.read_response().expect(200).text(), "front");
            assert_eq!(get(setup, base, "/moved").expect(302).header("Location"), Some("/elsewhere"));
        });
    }

    [ruby, python, node]
    fn headers_of_an_answer(language) {
        in_both(language, |setup, base| {
            let custom = get(setup, base, "/custom").expect(200);
            assert_eq!((custom.header("X-Custom"), custom.header("X-Empty")), (Some("kept"), Some("")));
            assert!(custom.head.all("X-Powered-By").contains(&"me"), "{:?}", custom.head.headers);
            let cookies = get(setup, base, "/cookies").expect(200);
            assert_eq!(cookies.head.all("Set-Cookie"), ["a=1; Path=/", "b=2; HttpOnly"]);
            let accel = get(setup, base, "/accel").expect(200);
            assert_eq!((accel.text().as_str(), accel.header("X-Accel-Redirect")), ("a private file", None));
            // The status line is used; the header that nginx receives is made from it.
            let status = get(setup, base, "/status-header").expect(200);
            assert!(status.header("Status").is_some_and(|value| value.starts_with("200")));
        });
    }

    [ruby, python, node]
    fn bodies_in_parts_and_large_ones(language) {
        in_both(language, |setup, base| {
            let parts = get(setup, base, "/parts").expect(200);
            assert_eq!(parts.text(), "onetwothree");
            assert_eq!(get(setup, base, "/large").expect(200).body.len(), 3_000_000);
            let mut old = setup.nginx.connect();
            old.send(format!("GET {base}/parts HTTP/1.0\r\n\r\n"));
            let answer = String::from_utf8(old.read_to_end()).unwrap();
            assert!(answer.ends_with("\r\n\r\nonetwothree") && !answer.contains("chunked"), "{answer}");
        });
    }

    [ruby, python, node]
    fn oversized_response_headers_are_a_502(language) {
        in_both(language, |setup, base| {
            assert_eq!(get(setup, base, "/oversized").status(), 502);
            assert_eq!(get(setup, base, "/").expect(200).text(), "front");
        });
    }
}
