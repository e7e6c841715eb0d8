//! Detection of an app's type: in a fixed order, or configured.

use std::fs;
use std::process::Command;

use test_support::{OneApp, Request, TestDir};

const RUBY: &str = "run ->(env) { [200, {}, ['ruby']] }";
const PYTHON: &str = "def application(env, start):\n    start('200 OK', [])\n    return [b'python']\n";
const NODE: &str = "require('http').createServer((q, r) => r.end('node')).listen(process.env.PORT || 1)";
const PASSENGERFILE: &str = r#"{"app_start_command": "node generic.js", "unknown_key": 1}"#;
const GENERIC: &str = "require('http').createServer((q, r) => r.end('generic')).listen(process.env.PORT)";

#[test]
fn detects_in_a_fixed_order() {
    const FIVE: &str = r#"
        %%GLOBALS%%
        events { }
        http {
            %%HTTP%%
            passenger_fly_with %%SOCKET%%;
            passenger_enabled on;
            server {
                listen 127.0.0.1:%%PORT%%;
                location /a { passenger_app_root %%DIR%%/a; passenger_app_group_name a; }
                location /b { passenger_app_root %%DIR%%/b; passenger_app_group_name b; }
                location /c { passenger_app_root %%DIR%%/c; passenger_app_group_name c; }
                location /d { passenger_app_root %%DIR%%/d; passenger_app_group_name d; }
            }
        }
    "#;
    let test_dir = TestDir::new();
    test_dir
        .app("a")
        .python(PYTHON)
        .node(NODE)
        .ruby(RUBY)
        .file("generic.js", GENERIC)
        .file("Passengerfile.json", PASSENGERFILE);
    test_dir.app("b").python(PYTHON).node(NODE).ruby(RUBY);
    test_dir.app("c").python(PYTHON).node(NODE);
    test_dir.app("d").python(PYTHON);
    let _daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(FIVE).start();
    let answers = ["/a", "/b", "/c", "/d"].map(|path| nginx.get(path).expect(200).text());
    assert_eq!(answers, ["generic", "ruby", "node", "python"]);
}

#[test]
fn refuses_a_passengerfile_that_is_no_json() {
    let setup = OneApp::app("", |app| app.file("Passengerfile.json", "{ nonsense").ruby(RUBY));
    assert_eq!(setup.nginx.get("/").status(), 500);
    assert!(setup.nginx.error_log().contains("Passengerfile.json"), "{}", setup.nginx.error_log());
    setup.test_dir.expect_log_line("Passengerfile.json");
}

#[test]
fn a_configured_type_overrides_detection() {
    let setup = OneApp::app("passenger_app_type wsgi;", |app| app.ruby(RUBY).python(PYTHON));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "python");
}

#[test]
fn type_and_startup_file_can_select_any_file() {
    let lines = "passenger_app_type node; passenger_startup_file lib/main.js;";
    let setup = OneApp::app(lines, |app| app.ruby(RUBY).file("lib/main.js", NODE));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "node");
    let lines = "passenger_app_type rack; passenger_startup_file rack/up.ru;";
    let setup = OneApp::app(lines, |app| app.python(PYTHON).file("rack/up.ru", RUBY));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "ruby");
    let lines = "passenger_app_type python; passenger_startup_file wsgi/main.py;";
    let setup = OneApp::app(lines, |app| app.ruby(RUBY).file("wsgi/main.py", PYTHON));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "python");
}

#[test]
fn a_start_command_overrides_detection() {
    let lines = r#"passenger_app_start_command "node generic.js";"#;
    let setup = OneApp::app(lines, |app| app.ruby(RUBY).file("generic.js", GENERIC));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "generic");
}

/// Two apps without `passenger_app_type`.
const TWO_DETECTED: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_enabled on;
        server {
            listen 127.0.0.1:%%PORT%%;
            location /hostile { passenger_app_root %%DIR%%/hostile; passenger_app_group_name hostile; }
            location / { passenger_app_root %%DIR%%/good; passenger_app_group_name good; }
        }
    }
"#;

#[test]
fn a_fifo_or_terminal_as_passengerfile_does_not_hang_nginx() {
    let test_dir = TestDir::new();
    let hostile = test_dir.app("hostile").ruby(RUBY);
    test_dir.app("good").ruby(RUBY);
    let _daemon = test_dir.daemon().start();
    test_dir.expect_log_line("Passengerfile.json");
    let path = hostile.path("Passengerfile.json");
    for target in [None, Some("/dev/ptmx")] {
        match target {
            None => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
            Some(target) => {
                fs::remove_file(&path).unwrap();
                std::os::unix::fs::symlink(target, &path).unwrap();
            }
        }
        let nginx = test_dir.nginx(TWO_DETECTED).start();
        // More connections than workers: each worker gets one.
        let mut connections: Vec<_> = (0..8).map(|_| nginx.connect()).collect();
        for connection in &mut connections {
            connection.send("GET /hostile HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        }
        for _ in 0..8 {
            assert_eq!(nginx.get("/").expect(200).text(), "ruby", "{target:?}");
        }
        assert_eq!(nginx.get("/hostile").status(), 500, "{target:?}");
    }
}

/// The type is given, so that nothing is looked for.
const BY_HOST: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%DIR%%/sites/$host/public;
            passenger_enabled on;
            %%APP%%
        }
    }
"#;

#[test]
fn host_names_without_an_app_reach_no_daemon() {
    for app in ["passenger_app_type rack;", "passenger_app_start_command 'ruby -run -e httpd';"] {
        let test_dir = TestDir::new();
        test_dir.app("sites/real").ruby(RUBY);
        let daemon = test_dir.daemon().start();
        let nginx = test_dir.nginx(&BY_HOST.replace("%%APP%%", app)).start();
        let get = |host: &str| nginx.send(Request::get("/").header("Host", host)).status();
        for number in 0..50 {
            assert_eq!(get(&format!("random{number}")), 404);
        }
        assert_eq!(get(&"a".repeat(300)), 404);
        assert!(!daemon.status().contains("/sites/"), "{}", daemon.status());
        if app.contains("rack") {
            assert_eq!(get("real"), 200);
        }
    }
}
