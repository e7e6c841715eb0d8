//! Configurations of tutorials for Passenger: with two more lines they load and serve.

use test_support::{
    App, Daemon, DaemonBuilder, Nginx, Request, TestDir, node_modules, require_debian_package,
};

use crate::frameworks::rails_app;
use crate::nginx_conf::on_this_machine;

/// An app under a tutorial's configuration, started.
struct Moved {
    nginx: Nginx,
    daemon: Daemon,
    _test_dir: TestDir,
}

impl Moved {
    /// Replaces `/var/www` by the test's directory, and adds `load_module` and `passenger_fly_with`.
    fn here(tutorial: &str, name: &str, fill: impl FnOnce(App) -> App) -> Self {
        Self::with(tutorial, name, |daemon| daemon, fill)
    }

    /// The same with flags for the daemon.
    fn with(
        tutorial: &str,
        name: &str,
        flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
        fill: impl FnOnce(App) -> App,
    ) -> Self {
        let test_dir = TestDir::new();
        fill(test_dir.app(name));
        let conf = on_this_machine(tutorial, "\npassenger_fly_with %%SOCKET%%;\n");
        let added: Vec<&str> = passengers(&conf).filter(|line| !tutorial.contains(line)).collect();
        assert_eq!(added, ["passenger_fly_with %%SOCKET%%;"], "nothing else of ours is changed");
        assert_eq!(
            passengers(&conf).count(),
            passengers(tutorial).count() + 1,
            "nothing of ours is left out"
        );
        let daemon = flags(test_dir.daemon()).start();
        let nginx = test_dir.nginx(&conf.replace("/var/www", "%%DIR%%"));
        let test = nginx.test_config();
        let printed = String::from_utf8_lossy(&test.stderr).into_owned();
        assert!(printed.contains("\"passenger_root\" is obsolete and has no effect"), "{printed}");
        Self { nginx: nginx.start(), daemon, _test_dir: test_dir }
    }
}

/// The lines that set something of ours.
fn passengers(conf: &str) -> impl Iterator<Item = &str> {
    conf.lines().map(str::trim).filter(|line| line.starts_with("passenger_"))
}

#[test]
fn rails() {
    let moved = Moved::here(include_str!("fixtures/tutorial-rails.conf"), "myapp", |app| {
        app.write("public/assets/a.css", "body {}");
        rails_app(app)
    });
    let response = moved.nginx.get("/").expect(200);
    assert!(response.text().starts_with("hello from rails "), "{}", response.text());
    assert!(response.text().ends_with(" / production"), "{}", response.text());
    assert_eq!(response.header("X-Powered-By"), Some("Flying Passenger"));
    let form = Request::post("/form", r#"{"name":"Ann"}"#).header("Content-Type", "application/json");
    assert_eq!(moved.nginx.send(form).expect(200).json()["name"], "Ann");
    let asset = moved.nginx.get("/assets/a.css").expect(200);
    assert_eq!(
        (asset.text().as_str(), asset.head.all("Cache-Control").contains(&"public")),
        ("body {}", true)
    );
    // Of another group, so of another process; Rails knows no such page.
    assert_eq!(moved.nginx.get("/cable").status(), 404);
    assert!(moved.daemon.status().contains("myapp_action_cable"), "{}", moved.daemon.status());
}

#[test]
fn flask() {
    require_debian_package("python3-flask", "/usr/share/doc/python3-flask");
    let python = r#"
from flask import Flask, request
application = Flask(__name__)

@application.route("/")
def hello():
    return "hello from flask"

@application.route("/name", methods=["POST"])
def name():
    return request.form["name"].upper()
"#;
    // The tutorial's applications run as nginx's user, which is refused otherwise.
    let allowed = |daemon: DaemonBuilder| daemon.flag("--allow-app-users=www-data");
    let moved = Moved::with(include_str!("fixtures/tutorial-flask.conf"), "flask", allowed, |app| {
        app.python(python).file("static/a.txt", "a file").file("public/robots.txt", "public")
    });
    assert_eq!(moved.nginx.get("/").expect(200).text(), "hello from flask");
    let form = Request::post("/name", "name=ann").header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(moved.nginx.send(form).expect(200).text(), "ANN");
    assert_eq!(moved.nginx.get("/static/a.txt").expect(200).text(), "a file");
    assert_eq!(moved.nginx.get("/robots.txt").expect(200).text(), "public");
    assert_eq!(moved.nginx.get("/none").status(), 404);
}

#[test]
fn express() {
    let node = r#"
        const express = require('express');
        const app = express();
        app.get('/', (req, res) => res.send('hello from express in ' + process.env.NODE_ENV));
        app.listen(process.env.PORT || 3000);
    "#;
    let moved = Moved::here(include_str!("fixtures/tutorial-express.conf"), "node", |app| {
        node_modules(app.dir());
        app.node(node).file("public/404.html", "not here").file("public/style.css", "p {}")
    });
    assert_eq!(moved.nginx.get("/").expect(200).text(), "hello from express in production");
    assert_eq!(moved.nginx.get("/style.css").expect(200).text(), "p {}");
    let missing = moved.nginx.get("/none");
    assert_eq!((missing.status(), missing.text().as_str()), (404, "not here"));
}
