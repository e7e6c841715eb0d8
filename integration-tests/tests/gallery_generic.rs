//! Servers of other languages and frameworks, unmodified, driven through their real features.

use std::process::Command;

use test_support::{
    App, OneApp, Request, Response, generic_go, generic_python, generic_sources, require_debian_package, run,
};

/// A path with what proxies get wrong: a space, a character beyond ASCII and an escaped slash.
const PATH: &str = "/a%20b/caf%C3%A9/x%2Fy?q=1%202%2F%C3%A9";

/// Every byte, and more than any single buffer holds.
fn upload() -> Vec<u8> {
    (0..=255).cycle().take(300_000).collect()
}

/// A form with a file and a field, as browsers send it.
fn form(path: &str, file: &[u8]) -> Request {
    let head = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\ngr\u{fc}\u{df}e\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.bin\"\r\n\r\n";
    let body = [head.as_bytes(), file, b"\r\n--b--\r\n"].concat();
    Request::post(path, body).header("Content-Type", "multipart/form-data; boundary=b")
}

/// The SHA-256 of [`upload`].
fn digest() -> String {
    let dir = std::env::temp_dir().join(format!("fp-digest.{:?}", std::thread::current().id()));
    std::fs::write(&dir, upload()).unwrap();
    let printed = run(Command::new("sha256sum").arg(&dir));
    std::fs::remove_file(&dir).unwrap();
    printed.split(' ').next().unwrap_or_default().to_owned()
}

fn with_sources(app: App, names: &[&str]) -> App {
    generic_sources(app.dir(), names);
    app
}

/// Asks on one connection that is kept, so that a wrong length would be seen.
#[track_caller]
fn kept(setup: &OneApp, requests: &[Request]) -> Vec<Response> {
    let mut client = setup.nginx.connect();
    let ask = |request: &Request| {
        client.send(request.bytes("keep-alive"));
        client.read_response()
    };
    requests.iter().map(ask).collect()
}

/// Runs a client in Python with the app's packages.
fn talks(setup: &OneApp, client: &str, more: &[&str]) -> String {
    let port = setup.nginx.port().to_string();
    let mut command = Command::new("timeout");
    command.args(["60", "/usr/bin/python3", client, &port]).args(more).current_dir(setup.app.dir());
    run(command.env("PYTHONPATH", "site"))
}

#[test]
fn tornado_with_its_websockets_and_events() {
    let lines = r#"
        passenger_app_start_command "/usr/bin/python3 tornado_app.py";
        passenger_env_var PYTHONPATH %%DIR%%/app/site;
    "#;
    let setup = OneApp::app(lines, |app| {
        generic_python(app.dir(), &["tornado"]);
        with_sources(app, &["tornado_app.py", "chat_client.py"])
    });
    let text = setup.nginx.get(PATH).expect(200).text();
    assert_eq!(text, "/a%20b/caf%C3%A9/x%2Fy a b/café/x/y 1 2/é");
    let reported = setup.nginx.send(form("/upload", &upload())).expect(200).json();
    let reported = (reported["name"].as_str(), reported["size"].as_u64(), reported["note"].as_str());
    assert_eq!(reported, (Some("a b.bin"), Some(300_000), Some("grüße")));
    let first = setup.nginx.get("/count").expect(200);
    let cookie = first.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let second = setup.nginx.send(Request::get("/count").header("Cookie", &cookie)).expect(200);
    assert_eq!((first.text().as_str(), second.text().as_str()), ("1", "2"));
    let etag = setup.nginx.get(PATH).header("Etag").expect("Tornado makes one").to_owned();
    setup.nginx.send(Request::get(PATH).header("If-None-Match", &etag)).expect(304);
    let mut client = setup.nginx.connect();
    client.send(Request::get("/events").bytes("close"));
    client.read_until("data: 1\n\n");
    setup.nginx.get("/go-on").expect(200);
    client.read_until("data: 2\n\n");
    assert_eq!(talks(&setup, "chat_client.py", &[]), "talked\n");
}

#[test]
fn sanic_with_its_streams_and_websockets() {
    let lines = r#"
        passenger_app_start_command "/usr/bin/python3 -m sanic sanic_app.app --host 127.0.0.1 --port $PORT --single-process";
        passenger_env_var PYTHONPATH %%DIR%%/app/site:%%DIR%%/app;
    "#;
    let setup = OneApp::app(lines, |app| {
        generic_python(app.dir(), &[]);
        with_sources(app, &["sanic_app.py", "feed_client.py"])
    });
    let text = setup.nginx.get(&format!("/path{PATH}")).expect(200).text();
    assert!(text.starts_with(&format!("/path{PATH} ")) && text.ends_with(" 1 2/é"), "{text}");
    assert_eq!(setup.nginx.get("/stream").expect(200).text(), "part 0\npart 1\npart 2\n");
    let reported = setup.nginx.send(Request::post("/upload", upload())).expect(200).json();
    assert_eq!(reported["size"], 300_000);
    assert_eq!(talks(&setup, "feed_client.py", &[]), "talked\n");
}

#[test]
fn gradio_by_its_own_client() {
    let lines = r#"
        passenger_app_start_command "GRADIO_SERVER_PORT=$PORT /usr/bin/python3 gradio_app.py";
        passenger_env_var PYTHONPATH %%DIR%%/app/site;
        passenger_env_var GRADIO_ANALYTICS_ENABLED False;
        passenger_env_var GRADIO_TEMP_DIR %%DIR%%/app/scratch/gradio;
        passenger_env_var MPLCONFIGDIR %%DIR%%/app/scratch;
        passenger_start_timeout 300;
    "#;
    let setup = OneApp::app(lines, |app| {
        generic_python(app.dir(), &[]);
        with_sources(app, &["gradio_app.py", "gradio_client_app.py"])
    });
    let page = setup.nginx.get("/").expect(200);
    assert!(page.text().contains("Greeter"), "{}", page.text());
    let request = Request::post("/gradio_api/call/count", r#"{"data": [3]}"#);
    let event = setup.nginx.send(request.header("Content-Type", "application/json")).expect(200).json();
    let path = format!("/gradio_api/call/count/{}", event["event_id"].as_str().expect("an event"));
    let events = setup.nginx.get(&path).expect(200);
    assert!(events.header("Content-Type").is_some_and(|kind| kind.starts_with("text/event-stream")));
    let text = events.text();
    assert!(text.contains("event: generating\ndata: [1]") && text.contains("event: complete"), "{text}");
    let file = setup.test_dir.path("grüße x.bin");
    assert_eq!(talks(&setup, "gradio_client_app.py", &[file.to_str().unwrap()]), "used\n");
    // Gradio keeps the name of an uploaded file, so its path has what has to be escaped.
    let body = "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"gr\u{fc}\u{df}e x.txt\"\r\n\r\n\
                stored\r\n--b--\r\n";
    let upload = Request::post("/gradio_api/upload", body);
    let stored =
        setup.nginx.send(upload.header("Content-Type", "multipart/form-data; boundary=b")).expect(200);
    let path = stored.json()[0].as_str().expect("a path").to_owned();
    assert!(path.contains("grüße"), "{path}");
    for escaped in [path.replace(' ', "%20").replace('ü', "%C3%BC").replace('ß', "%C3%9F"), percent(&path)]
    {
        let file = setup.nginx.get(&format!("/gradio_api/file={escaped}"));
        assert_eq!(file.expect(200).text(), "stored", "{escaped}");
    }
}

/// Every byte escaped, slashes too.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn php_with_its_own_server() {
    require_debian_package("php-cli", "/usr/bin/php");
    let lines = r#"passenger_app_start_command "php -S 127.0.0.1:$PORT index.php";"#;
    let setup = OneApp::app(lines, |app| with_sources(app, &["index.php"]));
    let responses =
        kept(&setup, &[Request::get(PATH), Request::new("DELETE", PATH), Request::get("/stream")]);
    assert_eq!(responses[0].text(), "GET /a%20b/caf%C3%A9/x%2Fy /a b/café/x/y 1 2/é");
    assert_eq!(responses[0].head.all("Set-Cookie").len(), 2);
    assert!(responses[1].text().starts_with("DELETE /a%20b/"), "{}", responses[1].text());
    assert_eq!(responses[2].text(), "part 0\npart 1\npart 2\n");
    let text = setup.nginx.send(form("/upload", &upload())).expect(200).text();
    assert_eq!(text, format!("a b.bin 300000 {} grüße", digest()));
    let put = setup.nginx.send(Request::new("PUT", "/input").body(upload())).expect(201);
    assert!(put.header("X-Method") == Some("PUT") && put.body == upload());
    let moved = setup.nginx.get("/moved").expect(302);
    assert_eq!(moved.header("Location"), Some("/elsewhere"));
    let first = setup.nginx.get("/count").expect(200);
    let cookie = first.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    let second = setup.nginx.send(Request::get("/count").header("Cookie", &cookie)).expect(200);
    assert_eq!((first.text().as_str(), second.text().as_str()), ("1", "2"));
}

#[test]
fn go_with_its_own_server() {
    let setup = OneApp::app(r#"passenger_app_start_command "./server";"#, |app| {
        generic_go(app.dir());
        app.file("files/data x.txt", "0123456789").file("files/caf\u{e9}/i.txt", "an \u{e9}")
    });
    let asked = [Request::get(PATH), Request::new("HEAD", PATH), Request::new("PATCH", PATH)];
    let responses = kept(&setup, &asked[..1]);
    assert_eq!(responses[0].text(), "GET /a%20b/caf%C3%A9/x%2Fy /a b/café/x/y 1 2/é");
    assert_eq!(asked[1].send_to(setup.nginx.port()).expect(200).body.len(), 0);
    assert!(asked[2].send_to(setup.nginx.port()).expect(200).text().starts_with("PATCH "));
    let text = setup.nginx.send(form("/upload", &upload())).expect(200).text();
    assert_eq!(text, format!("a b.bin 300000 {}", digest()));
    let range = Request::get("/files/data%20x.txt").header("Range", "bytes=2-4");
    let part = setup.nginx.send(range).expect(206);
    assert_eq!((part.text().as_str(), part.header("Content-Range")), ("234", Some("bytes 2-4/10")));
    assert_eq!(setup.nginx.get("/files/caf%C3%A9/i.txt").expect(200).text(), "an é");
    let hinted = setup.nginx.get("/hints").expect(200);
    assert_eq!((hinted.text().as_str(), hinted.header("X-Sum")), ("hinted", None));
    let mut client = setup.nginx.connect();
    client.send(Request::get("/stream").bytes("close"));
    client.read_until("data: 2\n\n");
    setup.nginx.get("/go-on").expect(200);
    client.read_until("data: 3\n\n");
    let required = setup.nginx.get("/hijack").expect(426);
    assert_eq!(required.header("Upgrade"), Some("websocket"));
    let mut client = setup.nginx.connect();
    client.send(Request::get("/hijack").header("Upgrade", "websocket").bytes("Upgrade"));
    client.read_until("\r\n\r\n");
    client.send("one\ntwo\n");
    client.read_until("you wrote two\n");
    // Go's server logs the panic with its stack, and closes the connection.
    for line in ["panic serving", "panic(", "panic.go"] {
        setup.test_dir.expect_log_line(line);
    }
    assert_eq!(setup.nginx.get("/boom").status(), 502);
    setup.nginx.get("/").expect(200);
}

#[test]
fn java_with_its_own_server() {
    let javac = Command::new("javac").arg("-version").output();
    assert!(javac.is_ok(), "there is no JDK: run integration-tests/frameworks/install.sh");
    let lines = r#"
        passenger_app_start_command "java -Xshare:auto -XX:TieredStopAtLevel=1 Server.java";
        passenger_start_timeout 300;
    "#;
    let setup = OneApp::app(lines, |app| with_sources(app, &["Server.java"]));
    let responses = kept(&setup, &[Request::get(PATH), Request::get("/stream")]);
    assert_eq!(responses[0].text(), "GET /a%20b/caf%C3%A9/x%2Fy /a b/café/x/y q=1 2/é");
    assert_eq!(responses[0].head.all("Set-Cookie"), ["a=1", "b=2"]);
    assert_eq!(responses[1].text(), "part 0\npart 1\npart 2\n");
    assert_eq!(setup.nginx.send(Request::new("HEAD", PATH)).expect(200).body.len(), 0);
    let echoed = setup.nginx.send(form("/echo", &upload())).expect(200);
    assert_eq!(echoed.header("Content-Type"), Some("multipart/form-data; boundary=b"));
    assert!(echoed.body.len() > 300_000);
    assert_eq!(setup.nginx.get("/boom").status(), 502);
    setup.nginx.get("/").expect(200);
}
