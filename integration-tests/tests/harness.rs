//! Tests of the harness, with an nginx without the module.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use test_support::{Connection, Language, Request, TestDir, eventually};

const STOCK: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%DIR%%/app/public;
            location /app/ { proxy_pass http://127.0.0.1:%%APP%%/; proxy_http_version 1.1; proxy_buffering off; }
        }
    }
"#;

#[test]
fn nginx_serves_a_file_and_survives_all_actions() {
    let test_dir = TestDir::new();
    let _app = test_dir.app("app").file("public/hello.txt", "hello from a file");
    let mut nginx = test_dir.nginx(&STOCK.replace("%%APP%%", "9")).start();
    let hello = |nginx: &test_support::Nginx| {
        assert_eq!(nginx.get("/hello.txt").expect(200).text(), "hello from a file")
    };
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
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Generic);
    let port = test_dir.port();
    let mut server = Command::new("node")
        .arg("server.js")
        .current_dir(app.dir())
        .env("PORT", port.to_string())
        .spawn()
        .expect("node is not installed: run `apt-get install nodejs`");
    eventually("the app listens", || Connection::try_to(port).is_ok());
    let nginx = test_dir.nginx(&STOCK.replace("%%APP%%", &port.to_string())).start();

    let mut client = nginx.connect();
    client.send(Request::get("/app/stream?name=part").bytes("keep-alive"));
    let head = client.read_head();
    assert_eq!(head.header("Transfer-Encoding"), Some("chunked"));
    client.read_until("first\n");
    test_dir.open_gate("part");
    client.read_until("second\n\r\n0\r\n\r\n");

    // The same connection, now parsed.
    client.send(Request::post("/app/echo", "12345").bytes("keep-alive"));
    assert_eq!(client.read_response().expect(200).text(), "12345");
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn a_process_left_behind_fails_the_test() {
    let message = failure_of(|test_dir| {
        let mut child = Command::new("sleep").arg("60").current_dir(test_dir.dir()).spawn().unwrap();
        std::thread::spawn(move || child.wait());
    });
    assert!(message.contains("left behind"), "{message}");
}

#[test]
fn an_alarming_log_line_fails_the_test() {
    let line = |test_dir: &TestDir| {
        let nginx = test_dir.nginx(STOCK);
        drop(nginx);
        let dir =
            fs::read_dir(test_dir.dir()).unwrap().flatten().find(|e| e.file_name() != "scratch").unwrap();
        fs::write(dir.path().join("error.log"), "1 [alert] something is wrong\n").unwrap();
    };
    let message = failure_of(line);
    assert!(message.contains("something is wrong"), "{message}");
    // Declared, it passes.
    let test_dir = TestDir::new();
    test_dir.expect_log_line("something is wrong");
    line(&test_dir);
}

/// Runs a test whose checks must fail, returns the message, and removes the kept directory.
fn failure_of(play: impl FnOnce(&TestDir)) -> String {
    let test_dir = TestDir::new();
    let dir = test_dir.dir().to_owned();
    play(&test_dir);
    let error = catch_unwind(AssertUnwindSafe(|| drop(test_dir))).expect_err("the stage should have failed");
    fs::remove_dir_all(dir).unwrap();
    error.downcast_ref::<String>().cloned().unwrap_or_default()
}
