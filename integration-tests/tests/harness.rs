//! Tests of the harness, with an nginx without the module.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use stage::{Connection, Language, Request, Stage, eventually};

const STOCK: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%STAGE%%/app/public;
            location /app/ { proxy_pass http://127.0.0.1:%%APP%%/; proxy_http_version 1.1; proxy_buffering off; }
        }
    }
"#;

#[test]
fn a_stock_nginx_serves_a_file_and_survives_all_verbs() {
    let stage = Stage::new();
    let _app = stage.app("app").file("public/hello.txt", "hello from a file");
    let mut nginx = stage.nginx(&STOCK.replace("%%APP%%", "9")).start();
    let hello =
        |nginx: &stage::Nginx| assert_eq!(nginx.get("/hello.txt").expect(200).text(), "hello from a file");
    hello(&nginx);
    nginx.reload();
    hello(&nginx);
    nginx.stop();
    nginx.start_again();
    hello(&nginx);
    let old = nginx.master();
    nginx.usr2_upgrade();
    assert_ne!(nginx.master(), old);
    hello(&nginx);
    nginx.kill_9_everything();
    nginx.start_again();
    hello(&nginx);
    assert!(nginx.test_config().status.success());
}

#[test]
fn the_client_sees_a_stream_part_by_part() {
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Generic);
    let port = stage.port();
    let mut server = Command::new("node")
        .arg("server.js")
        .current_dir(app.dir())
        .env("PORT", port.to_string())
        .spawn()
        .expect("node is not installed: run `apt-get install nodejs`");
    eventually("the app listens", || Connection::try_to(port).is_ok());
    let nginx = stage.nginx(&STOCK.replace("%%APP%%", &port.to_string())).start();

    let mut client = nginx.connect();
    client.send(Request::get("/app/stream?name=part").bytes("keep-alive"));
    let head = client.read_head();
    assert_eq!(head.header("Transfer-Encoding"), Some("chunked"));
    client.read_until("first\n");
    stage.open_gate("part");
    client.read_until("second\n\r\n0\r\n\r\n");

    // The same connection, now parsed.
    client.send(Request::post("/app/echo", "12345").bytes("keep-alive"));
    assert_eq!(client.read_response().expect(200).text(), "12345");
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn a_process_left_behind_fails_the_test() {
    let message = failure_of(|stage| {
        let mut child = Command::new("sleep").arg("60").current_dir(stage.dir()).spawn().unwrap();
        std::thread::spawn(move || child.wait());
    });
    assert!(message.contains("left behind"), "{message}");
}

#[test]
fn an_alarming_log_line_fails_the_test() {
    let line = |stage: &Stage| {
        let nginx = stage.nginx(STOCK);
        drop(nginx);
        let dir = fs::read_dir(stage.dir()).unwrap().flatten().find(|e| e.file_name() != "scratch").unwrap();
        fs::write(dir.path().join("error.log"), "1 [alert] something is wrong\n").unwrap();
    };
    let message = failure_of(line);
    assert!(message.contains("something is wrong"), "{message}");
    // Declared, it passes.
    let stage = Stage::new();
    stage.expect_log_line("something is wrong");
    line(&stage);
}

/// Runs a test whose checks must fail, returns the message, and removes the kept directory.
fn failure_of(play: impl FnOnce(&Stage)) -> String {
    let stage = Stage::new();
    let dir = stage.dir().to_owned();
    play(&stage);
    let error = catch_unwind(AssertUnwindSafe(|| drop(stage))).expect_err("the stage should have failed");
    fs::remove_dir_all(dir).unwrap();
    error.downcast_ref::<String>().cloned().unwrap_or_default()
}
