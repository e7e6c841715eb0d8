//! Native support of the Python loader: built, used by WSGI and ASGI, started directly and forked.

use std::fs;
use std::process::Command;

use serde_json::Value;
use test_support::{Language, ONE_APP_CONF, OneApp, TestDir, binary};

const ASGI: &str = "
async def application(scope, receive, send):
    if scope['type'] != 'lifespan':
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b'hello'})
";

/// An app of this source with native support that is built in the test's directory.
fn started(source: Option<&str>, lines: &str) -> OneApp {
    let test_dir = TestDir::new();
    let native = test_dir.path("native");
    let mut build = Command::new(binary("passenger-config"));
    build.args(["build-native-support", "--python", "/usr/bin/python3", "--dir"]).arg(&native);
    let built = build.output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let app = test_dir.app("app").standard(Language::Python);
    if let Some(source) = source {
        fs::write(app.dir().join("passenger_wsgi.py"), source).unwrap();
    }
    let daemon = test_dir.daemon().flag(&format!("--native-support-dir={}", native.display())).start();
    let lines = format!("{} {lines}", Language::Python.directives());
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    OneApp { nginx, daemon, app, test_dir }
}

/// What the status shows of the first process.
fn shown(setup: &OneApp) -> String {
    let pool = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: Value = serde_json::from_slice(&pool).unwrap();
    pool["groups"][0]["processes"][0]["native_support"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn python_uses_what_was_built_for_its_interpreter() {
    for source in [None, Some(ASGI)] {
        for method in ["smart", "direct"] {
            let setup = started(source, &format!("passenger_spawn_method {method};"));
            assert_eq!(setup.nginx.get("/").status(), 200);
            assert_eq!(shown(&setup), "yes", "{method} {source:?}");
        }
    }
}

#[test]
fn python_without_the_directive_serves_by_the_loader() {
    let setup = started(None, "passenger_native_support off;");
    assert_eq!(setup.nginx.get("/").status(), 200);
    assert_eq!(shown(&setup), "no: passenger_native_support is off");
}
