//! Node.js frameworks, each with an application as its generator or documentation writes it, behind nginx and the daemon.

use std::collections::BTreeSet;
use std::process::Command;

use test_support::{
    App, Browser, Connection, OneApp, Request, eventually, kill_9, next_standalone, node_modules,
    node_package, node_packages, run,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// An app of one file, with all packages beside it.
fn app_of(file: &str, source: &str) -> OneApp {
    let lines = format!("passenger_app_type node; passenger_startup_file {file};");
    OneApp::app(&lines, |app| {
        node_modules(app.dir());
        app.file(file, source).file("files/data.txt", "a file").file("files/a b é.txt", "an odd name")
    })
}

/// URLs that need to arrive as they were sent: `path` is what an app answers with the last part of.
#[track_caller]
fn keeps_odd_urls(setup: &OneApp, path: &str) {
    for (sent, received) in [("a%20b", "a b"), ("%C3%A9", "é"), ("a%2Fb", "a/b"), ("%C3%A9%20%2F%25", "é /%")]
    {
        let text = setup.nginx.get(&format!("{path}{sent}")).expect(200).text();
        assert_eq!(text, received, "{path}{sent}");
    }
}

/// A form with one file in it.
fn upload(path: &str, size: usize) -> Request {
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n";
    let body = [head.as_bytes(), &vec![7; size], b"\r\n--b--\r\n"].concat();
    Request::post(path, body).header("Content-Type", "multipart/form-data; boundary=b")
}

/// The app reports name and size of a file that is uploaded to `/upload`.
#[track_caller]
fn takes_an_upload(setup: &OneApp, size: usize) {
    let uploaded = setup.nginx.send(upload("/upload", size));
    assert!(matches!(uploaded.status(), 200 | 201), "{}: {}", uploaded.status(), uploaded.text());
    let uploaded = uploaded.json();
    assert_eq!((uploaded["name"].as_str(), uploaded["size"].as_u64()), (Some("a.bin"), Some(size as u64)));
}

fn json(path: &str, text: &str) -> Request {
    Request::post(path, text).header("Content-Type", "application/json")
}

/// Runs a client in Node.js against an app, and gives what it printed.
fn talks(setup: &OneApp, client: &str) -> String {
    setup.app.write("client.js", client);
    let port = setup.nginx.port().to_string();
    run(Command::new("timeout").args(["60", "node", "client.js", &port]).current_dir(setup.app.dir()))
}

#[test]
fn express_generators_app() {
    let generated = |app: App| {
        let generator = node_package("express-generator/bin/express-cli.js");
        run(Command::new("node").arg(generator).args(["--view=pug", "--force", "."]).current_dir(app.dir()));
        let packages = [
            ("express", "express4"),
            ("debug", "debug2"),
            ("http-errors", "http-errors1"),
            ("morgan", "morgan"),
            ("cookie-parser", "cookie-parser"),
            ("pug", "pug"),
        ];
        node_packages(app.dir(), &packages);
        app
    };
    let setup = OneApp::app("passenger_startup_file bin/www; passenger_app_type node;", generated);
    let page = setup.nginx.get("/").expect(200).text();
    assert!(page.contains("<h1>Express</h1><p>Welcome to Express</p>"), "{page}");
    assert_eq!(setup.nginx.get("/users").expect(200).text(), "respond with a resource");
    let sheet = setup.nginx.get("/stylesheets/style.css").expect(200);
    assert!(sheet.text().contains("font:") && sheet.header("X-Powered-By").is_none(), "a file of nginx");
    let missing = setup.nginx.get("/a%20b/%C3%A9%2F");
    assert!(missing.status() == 404 && missing.text().contains("<h1>Not Found</h1>"), "{}", missing.text());
    setup.daemon.logs_eventually("/a%20b/%C3%A9%2F");
}

#[test]
fn fastify() {
    let setup = app_of("app.js", include_str!("fixtures/gallery_node/fastify.js"));
    assert_eq!(setup.nginx.get("/").expect(200).json()["hello"], "world");
    keeps_odd_urls(&setup, "/say/");
    assert_eq!(setup.nginx.send(json("/double", r#"{"number": 21}"#)).expect(200).json()["twice"], 42);
    let refused = setup.nginx.send(json("/double", "{}")).expect(400).json();
    assert_eq!(refused["code"], "FST_ERR_VALIDATION");
    takes_an_upload(&setup, 500_000);
    assert_eq!(setup.nginx.get("/files/a%20b%20%C3%A9.txt").expect(200).text(), "an odd name");
    let part = setup.nginx.send(Request::get("/files/data.txt").header("Range", "bytes=2-")).expect(206);
    assert_eq!(part.text(), "file");
    let client = r"
        const { WebSocket } = require('ws');
        const socket = new WebSocket(`ws://127.0.0.1:${process.argv[2]}/chat`);
        socket.on('open', () => socket.send('ann'));
        socket.on('message', (text) => { console.log(String(text)); socket.close(); });
    ";
    assert_eq!(talks(&setup, client), "hi ann\n");
}

#[test]
fn koa() {
    let setup = app_of("app.js", include_str!("fixtures/gallery_node/koa.js"));
    let page = setup.nginx.get("/").expect(200);
    assert_eq!(page.text(), "Hello World");
    assert!(page.header("X-Response-Time").is_some_and(|time| time.ends_with("ms")));
    keeps_odd_urls(&setup, "/say/");
    assert_eq!(setup.nginx.get("/stream").expect(200).text(), "one,two,three");
    let form = Request::post("/form", "name=Gr%C3%BC%C3%9Fe&age=41").header("Content-Type", FORM);
    assert_eq!(setup.nginx.send(form).expect(200).json()["name"], "Grüße");
    assert_eq!(setup.nginx.get("/teapot").expect(418).text(), "short and stout");
    setup.nginx.send(Request::new("OPTIONS", "/form")).expect(200);
}

#[test]
fn hapi() {
    let setup = app_of("app.js", include_str!("fixtures/gallery_node/hapi.js"));
    let mut browser = Browser::at(setup.nginx.port());
    assert_eq!(browser.get("/").expect(200).text(), "visit 1");
    assert_eq!(browser.get("/").expect(200).text(), "visit 2");
    keeps_odd_urls(&setup, "/say/");
    let file = setup.nginx.get("/file").expect(200);
    assert_eq!(file.text(), "a file");
    let unchanged = Request::get("/file").header("If-None-Match", file.header("ETag").unwrap());
    assert_eq!(setup.nginx.send(unchanged).status(), 304);
    assert_eq!(setup.nginx.send(json("/note", r#"{"text": "Grüße"}"#)).expect(201).json()["text"], "Grüße");
    takes_an_upload(&setup, 200_000);
    setup.daemon.logs_eventually("Server running on http://localhost:3000");
}

#[test]
fn hono() {
    let setup = app_of("app.mjs", include_str!("fixtures/gallery_node/hono.mjs"));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "Hello Hono!");
    keeps_odd_urls(&setup, "/say/");
    takes_an_upload(&setup, 300_000);
    assert_eq!(setup.nginx.get("/files/a%20b%20%C3%A9.txt").expect(200).text(), "an odd name");
    let part = setup.nginx.send(Request::get("/files/data.txt").header("Range", "bytes=2-")).expect(206);
    assert_eq!(part.text(), "file");
    let events = setup.nginx.get("/sse").expect(200);
    assert_eq!(events.header("Content-Type"), Some("text/event-stream"));
    assert_eq!(events.text().matches("data: part ").count(), 3);
    setup.daemon.logs_eventually("Server is running on http://localhost:3000");
}

#[test]
fn nestjs() {
    let compiled = |app: App| {
        let app = app
            .file("src/main.ts", include_str!("fixtures/gallery_node/nest/main.ts"))
            .file("src/app.module.ts", include_str!("fixtures/gallery_node/nest/app.module.ts"))
            .file("src/app.controller.ts", include_str!("fixtures/gallery_node/nest/app.controller.ts"))
            .file("src/app.service.ts", include_str!("fixtures/gallery_node/nest/app.service.ts"))
            .file("tsconfig.json", include_str!("fixtures/gallery_node/nest/tsconfig.json"))
            .file("package.json", include_str!("fixtures/gallery_node/nest/package.json"));
        node_modules(app.dir());
        run(Command::new("node_modules/.bin/tsc").current_dir(app.dir()));
        app
    };
    let mut setup = OneApp::app("passenger_startup_file dist/main.js; passenger_app_type node;", compiled);
    assert_eq!(setup.nginx.get("/").expect(200).text(), "Hello World!");
    keeps_odd_urls(&setup, "/say/");
    assert_eq!(setup.nginx.get("/double/21").expect(200).json()["twice"], 42);
    setup.nginx.get("/double/x").expect(400);
    assert_eq!(setup.nginx.send(json("/notes", r#"{"text": "Grüße"}"#)).expect(201).json()["length"], 5);
    takes_an_upload(&setup, 400_000);
    setup.nginx.get("/guarded").expect(403);
    let guarded = setup.nginx.send(Request::get("/guarded").header("X-Key", "secret")).expect(200);
    assert_eq!(guarded.text(), "with a key");
    assert_eq!(setup.nginx.get("/sse").expect(200).text().matches("data: ").count(), 2);
    assert!(setup.daemon.stop().success());
    setup.daemon.logs_eventually("the application ends by SIGTERM");
}

#[test]
fn nextjs() {
    // Three times the time that it needs here, as the machine may be busy.
    let lines = "passenger_startup_file next/server.js; passenger_app_type node; passenger_start_timeout 90;";
    let setup = OneApp::app(lines, |app| {
        next_standalone(app.dir());
        app
    });
    let page = setup.nginx.get("/").expect(200).text();
    assert!(page.contains("<h1>hello from next</h1>"), "{page}");
    let script = page.split('"').find(|part| part.starts_with("/_next/static/") && part.ends_with(".js"));
    let script = setup.nginx.get(script.expect("the page has a script")).expect(200);
    assert!(script.header("Cache-Control").is_some_and(|value| value.contains("immutable")));
    assert_eq!(setup.nginx.get("/note.txt").expect(200).text(), "a public file\n");
    for (sent, received) in [("a%20b", "a b"), ("%C3%A9", "é"), ("a%2Fb", "a/b")] {
        let page = setup.nginx.get(&format!("/say/{sent}")).expect(200).text();
        assert!(page.contains(&format!("<p>{received}</p>")), "{sent}: {page}");
    }
    assert_eq!(setup.nginx.send(json("/api/notes", r#"{"text": "Grüße"}"#)).expect(201).json()["length"], 5);
    setup.nginx.get("/none").expect(404);
    // What the browser requests when a user follows a link: Next.js adds a hash of the headers first.
    let link = |path: &str| setup.nginx.send(Request::get(path).header("RSC", "1"));
    let hashed = link("/say/a%20b").expect(307);
    let payload = link(hashed.header("Location").unwrap()).expect(200);
    assert!(payload.header("Content-Type").is_some_and(|kind| kind.starts_with("text/x-component")));
    assert!(payload.text().contains("a b"), "{}", payload.text());
    let late = streams_in_order(&setup, "/server-time", "wait for it");
    assert!(late.contains("late part"), "{late}");
}

/// Reads a page until `early` is there; returns the rest.
fn streams_in_order(setup: &OneApp, path: &str, early: &str) -> String {
    let mut client: Connection = setup.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client.read_until(early);
    String::from_utf8_lossy(&client.read_to_end()).into_owned()
}

#[test]
fn socket_io() {
    let setup = app_of("app.js", include_str!("fixtures/gallery_node/socket_io.js"));
    keeps_odd_urls(&setup, "/say/");
    assert!(setup.nginx.get("/socket.io/socket.io.js").expect(200).text().contains("Socket.IO"));
    let reported = talks(&setup, include_str!("fixtures/gallery_node/socket_io_client.js"));
    let lines: Vec<String> = ["polling", "websocket", "polling+websocket"]
        .iter()
        .map(|transports| format!("{transports} Grüße Grüße 200000\n"))
        .collect();
    assert_eq!(reported, lines.concat());
}

#[test]
fn ws() {
    let setup = app_of("app.js", include_str!("fixtures/gallery_node/ws.js"));
    assert_eq!(setup.nginx.get("/a%20b/%C3%A9%2F").expect(200).text(), "said /a b/é/");
    let reported = talks(&setup, include_str!("fixtures/gallery_node/ws_client.js"));
    assert_eq!(reported, "Unexpected server response: 401\nhello hello\ntrue\nclosed\n");
}

#[test]
fn an_es_module_with_top_level_await() {
    let mut setup = app_of("app.mjs", include_str!("fixtures/gallery_node/esm.mjs"));
    setup.app.write("settings.json", r#"{"name": "esm"}"#);
    let answer = setup.nginx.get("/").expect(200).json();
    assert_eq!((answer["name"].as_str(), answer["main"].as_bool()), (Some("esm"), Some(true)));
    keeps_odd_urls(&setup, "/say/");
    assert_eq!(setup.nginx.get("/lazy").expect(200).text(), "11f6ad8ec52a2984abaafd7c3b516503785c2072");
    setup.daemon.logs_eventually("listening on port ");
    assert!(setup.daemon.stop().success());
    setup.daemon.logs_eventually("closed by SIGTERM");
}

#[test]
fn a_cluster_serves_and_its_workers_end_with_it() {
    let setup = app_of("app.js", include_str!("fixtures/gallery_node/cluster.js"));
    assert_eq!(setup.nginx.get("/a%20b/%C3%A9/c%2Fd").expect(200).text(), "/a b/é/c/d");
    let primary = setup.daemon.app_pids();
    // More at the same time in each round: the daemon keeps to the connections that it has, and so to one worker, as long as
    // they are enough.
    let mut clients = 0;
    eventually("each worker has responded", || {
        clients += 4;
        let mut clients: Vec<_> = (0..clients).map(|_| setup.nginx.connect()).collect();
        for client in &mut clients {
            client.send(Request::get("/").bytes("close"));
        }
        let workers: BTreeSet<String> =
            clients.iter_mut().map(|client| client.read_response().expect(200).text()).collect();
        workers.len() == 2
    });
    let restarted =
        setup.daemon.tool("passenger-config", &["restart-app", setup.app.dir().to_str().unwrap(), "--wait"]);
    assert!(restarted.status.success(), "{restarted:?}");
    setup.nginx.get("/").expect(200);
    assert_ne!(setup.daemon.app_pids(), primary);
    setup.daemon.logs_eventually("worker 2 has ended");
    kill_9(setup.daemon.app_pids()[0]);
    eventually("another process serves", || setup.nginx.get("/").status() == 200);
}

#[test]
fn a_process_whose_server_has_closed_for_good_is_replaced() {
    let source = "
        const server = require('http').createServer((request, response) => {
          // Once the connection is idle, so that Node.js closes it, too.
          if (request.url === '/close') response.on('close', () => setImmediate(() => server.close()));
          response.end(String(process.pid));
        });
        server.listen(3000);
        setInterval(() => {}, 1000);
    ";
    let setup = app_of("app.js", source);
    let first = setup.nginx.get("/close").expect(200).text();
    // Connections wait for ten seconds, as the app might listen again.
    eventually("another process serves", || {
        let answer = setup.nginx.get("/");
        answer.status() == 200 && answer.text() != first
    });
}
