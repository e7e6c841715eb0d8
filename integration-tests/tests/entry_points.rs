//! Entry points: applications start without a directive about their files, as repositories have them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use test_support::{App, Nginx, OneApp, TestDir, eventually_some, is_root, skipped};

const WSGI: &str = "def app(env, start):\n    start('200 OK', [])\n    return [__name__.encode()]\n";
const ASGI: &str = r#"
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": __name__.encode()})
"#;
const RUBY: &str = "run ->(env) { [200, {}, ['ruby']] }";

/// A server that answers with its file, and with its port if it is not redirected.
fn node(name: &str) -> String {
    format!("require('http').createServer((q, r) => r.end('{name}')).listen(process.env.PORT || 1)")
}

/// One location for each application, none of which has a directive about its files.
fn nginx_for(test_dir: &TestDir, names: &[&str]) -> Nginx {
    let location = |name: &&str| {
        format!(
            "location /{name}/ {{ passenger_app_root %%DIR%%/{name}; passenger_app_group_name {name}; }}\n"
        )
    };
    let locations: String = names.iter().map(location).collect();
    let conf = format!(
        "%%GLOBALS%%\nevents {{ }}\nhttp {{ %%HTTP%%\npassenger_fly_with %%SOCKET%%;\npassenger_enabled on;\n\
         passenger_max_pool_size 30;\n\
         server {{ listen 127.0.0.1:%%PORT%%;\n{locations} }} }}\n"
    );
    test_dir.nginx(&conf).start()
}

type Case = (&'static str, fn(App) -> App, &'static str);

fn answers(cases: &[Case]) {
    let test_dir = TestDir::new();
    for (name, fill, _) in cases {
        fill(test_dir.app(name));
    }
    let _daemon = test_dir.daemon().start();
    let names: Vec<&str> = cases.iter().map(|case| case.0).collect();
    let nginx = nginx_for(&test_dir, &names);
    for (name, _, answer) in cases {
        assert_eq!(nginx.get(&format!("/{name}/")).expect(200).text(), *answer, "{name}");
    }
}

#[test]
fn python_applications_start_without_directives() {
    answers(&[
        ("wsgi", |app| app.file("wsgi.py", WSGI).file("app.py", "broken ("), "wsgi"),
        ("asgi", |app| app.file("asgi.py", ASGI), "asgi"),
        ("app", |app| app.file("app.py", WSGI).file("package.json", "{}").file("index.js", node("x")), "app"),
        ("main", |app| app.file("main.py", ASGI).file("Procfile", "web: uvicorn main:app"), "main"),
        ("script", |app| app.file("main.py", "print(1)").file("app.py", WSGI), "app"),
        (
            "usual",
            |app| app.python(&WSGI.replace("app", "application")).file("app.py", WSGI),
            "passenger_wsgi",
        ),
    ]);
}

#[test]
fn nodejs_applications_start_without_directives() {
    const START: &str = r#"{"scripts": {"start": "node ./bin/www"}}"#;
    answers(&[
        ("server", |app| app.file("server.js", node("server.js")), "server.js"),
        ("index", |app| app.file("index.js", node("index.js")), "index.js"),
        (
            "main",
            |app| app.file("package.json", r#"{"main": "lib"}"#).file("lib/index.js", node("lib")),
            "lib",
        ),
        ("start", |app| app.file("package.json", START).file("bin/www", node("www")), "www"),
        ("nuxt", |app| app.file(".output/server/index.mjs", MODULE).file("server.js", "throw 1"), "nuxt"),
        (
            "script",
            |app| {
                app.file("package.json", r#"{"scripts": {"start": "tool --port $PORT"}}"#)
                    .program("node_modules/.bin/tool")
            },
            "tool",
        ),
        ("procfile", |app| app.file("Procfile", "web: node web.js").file("web.js", node("web.js")), "web.js"),
        ("rails", |app| app.ruby(RUBY).file("package.json", START).file("bin/www", node("www")), "ruby"),
    ]);
}

const MODULE: &str =
    "import http from 'node:http';\nhttp.createServer((q, r) => r.end('nuxt')).listen(3000);\n";

/// A program of a package, which is started by a command.
trait Program {
    fn program(self, name: &str) -> Self;
}

impl Program for App {
    fn program(self, name: &str) -> Self {
        let server =
            "require('http').createServer((q, r) => r.end('tool')).listen(process.argv[3], '127.0.0.1')";
        self.write(name, format!("#!/usr/bin/env node\n{server}\n"));
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
        self
    }
}

#[test]
fn a_command_of_a_procfile_is_run_and_named_in_the_log() {
    let command = "python3 -m http.server --bind 127.0.0.1 $PORT";
    let setup = OneApp::app("", |app| app.file("Procfile", format!("release: x\nweb: {command}\n")));
    let page = setup.nginx.get("/").expect(200).text();
    assert!(page.contains("Procfile"), "{page}");
    setup.daemon.logs_eventually(&format!(" runs {command} (found: \"web\" of Procfile)"));
    assert!(setup.daemon.status().contains("app"), "{}", setup.daemon.status());
}

#[test]
fn what_was_found_and_why_is_in_the_log_and_the_report_of_a_failure() {
    let setup = OneApp::app("passenger_friendly_error_pages on;", |app| app.file("app.py", WSGI));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "app");
    setup.daemon.logs_eventually(" runs app.py (found: it defines the application)");
    setup.test_dir.expect_log_line("could not be started");
    setup.app.write("app.py", "app = None\nraise ValueError('out of cheese')\n");
    setup.app.touch_restart_txt();
    // Restart files are checked at most every few seconds.
    let page = eventually_some("a failed start", || {
        let response = setup.nginx.get("/");
        (response.status() == 500).then(|| response.text())
    });
    let runs = "app.py (found: it defines the application)";
    assert!(page.contains(runs), "{page}");
    let (_, id) = page.split_once("<dt>Error ID</dt><dd><code>").unwrap();
    let report = setup.daemon.tool("passenger-config", &["spawn-error", &id[..8]]);
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.contains(&format!("Runs        : {runs}")), "{report}");
}

#[test]
fn directives_take_precedence_over_what_is_found() {
    let fill = |app: App| app.file("app.py", WSGI).file("other.py", WSGI).file("server.js", node("node"));
    for (lines, answer) in [
        ("passenger_startup_file other.py;", "other"),
        ("passenger_app_type wsgi; passenger_startup_file other.py;", "other"),
        ("passenger_app_type node;", "node"),
        ("passenger_app_type python;", "app"),
        ("passenger_startup_file server.js;", "node"),
    ] {
        let setup = OneApp::app(lines, fill);
        assert_eq!(setup.nginx.get("/").expect(200).text(), answer, "{lines}");
        assert!(!lines.contains("startup_file") || !setup.daemon.log().contains("(found: "), "{lines}");
    }
}

#[test]
fn the_owner_of_an_entry_of_the_directory_is_the_user() {
    if !is_root() {
        return skipped("the_owner_of_an_entry_of_the_directory_is_the_user", "only root can switch users");
    }
    const UID: &str = "require('http').createServer((q, r) => r.end(`${process.getuid()}`)).listen(1)";
    let test_dir = TestDir::new();
    let victim = test_dir.app("victim").file("lib/web.js", UID).owned_by("man");
    let package = r#"{"scripts": {"start": "node lib/web.js"}}"#;
    let attacker = test_dir.app("attacker").file("package.json", package);
    symlink(victim.path("lib"), attacker.path("lib")).unwrap();
    let attacker = attacker.owned_by("games");
    let honest =
        test_dir.app("honest").file("package.json", package).file("lib/web.js", UID).owned_by("games");
    let _daemon = test_dir.daemon().start();
    let nginx = nginx_for(&test_dir, &["attacker", "honest"]);
    let uid = |app: &Path| {
        use std::os::unix::fs::MetadataExt;
        app.symlink_metadata().unwrap().uid().to_string()
    };
    assert_eq!(nginx.get("/honest/").expect(200).text(), uid(&honest.path("lib")));
    assert_eq!(nginx.get("/attacker/").expect(200).text(), uid(&attacker.path("lib")));
    assert_ne!(uid(&attacker.path("lib")), uid(&victim.path("lib")));
}
