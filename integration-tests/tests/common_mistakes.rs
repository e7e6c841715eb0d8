//! The mistakes that everybody makes: cause and remedy are in each place that can know them, which are the visitor's
//! page, nginx's error log, the daemon's log and `passenger-config doctor`.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::User;
use serde_json::Value;
use test_support::{App, Daemon, Nginx, TestDir, is_root, module, skipped};

use crate::doctor::report;
use crate::validate_install::Installed;

const CONF: &str = r#"
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        passenger_fly_with %%FLY_WITH%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%ROOT%%;
            passenger_enabled on;
            %%LINES%%
        }
    }
"#;

/// nginx's globals with workers that are not root, as on every server. Paths are relative to its prefix.
const UNPRIVILEGED: (&str, &str) = (
    "load_module %%MODULE%%; user www-data; worker_processes 2; pid nginx.pid; error_log error.log info;",
    "access_log access.log; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; \
     uwsgi_temp_path uwsgi; scgi_temp_path scgi;",
);

/// nginx logs this with the level "crit".
const NO_SOCKET: &str = "connect() to unix:";

/// A mistake, with what each place says. `None`: the place cannot know it.
struct Mistake {
    /// More lines of the server.
    lines: String,
    root: PathBuf,
    socket: Option<PathBuf>,
    unprivileged: bool,
    status: u16,
    /// Cause and remedy.
    page: [String; 2],
    nginx_log: [String; 2],
    daemon_log: Option<[String; 2]>,
    doctor: Option<Doctor>,
}

/// What the doctor says.
struct Doctor {
    arguments: Vec<String>,
    /// Where its report has the diagnosis.
    pointer: &'static str,
    code: &'static str,
    cause_and_remedy: [String; 2],
}

fn words(cause: &str, remedy: &str) -> [String; 2] {
    [cause.to_owned(), remedy.to_owned()]
}

/// Text of a page as a person reads it.
fn plain(page: &str) -> String {
    let page = page.replace("&#39;", "'").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    page.replace("&amp;", "&").to_lowercase()
}

#[track_caller]
fn contains_both(place: &str, text: &str, expected: &[String; 2]) {
    for part in expected {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{place} lacks \"{part}\": {text}");
    }
}

impl Mistake {
    fn of(app: &App, message: &[String; 2]) -> Self {
        Self {
            lines: String::new(),
            root: app.path("public"),
            socket: None,
            unprivileged: false,
            status: 500,
            page: message.clone(),
            nginx_log: message.clone(),
            daemon_log: Some(message.clone()),
            doctor: None,
        }
    }

    fn nginx(&self, test_dir: &TestDir, environment: &str) -> Nginx {
        let (globals, http) = if self.unprivileged { UNPRIVILEGED } else { ("%%GLOBALS%%", "%%HTTP%%") };
        let socket = self.socket.clone().unwrap_or_else(|| test_dir.socket());
        let conf = CONF
            .replace("%%GLOBALS%%", globals)
            .replace("%%HTTP%%", http)
            .replace("%%MODULE%%", &module().display().to_string())
            .replace("%%FLY_WITH%%", &format!("unix:{}", socket.display()))
            .replace("%%ROOT%%", &self.root.display().to_string())
            .replace("%%LINES%%", &format!("{} {environment}", self.lines));
        test_dir.nginx(&conf).start()
    }

    /// Checks the places: first as in development, then the short page of production.
    #[track_caller]
    fn check(&self, test_dir: &TestDir, app: &Path, daemon: Option<&Daemon>) {
        let nginx = self.nginx(test_dir, "passenger_app_env development;");
        let page = nginx.get("/").expect(self.status).text();
        contains_both("the page", &plain(&page), &self.page);
        contains_both("nginx's log", &nginx.error_log(), &self.nginx_log);
        if let (Some(daemon), Some(expected)) = (daemon, &self.daemon_log) {
            expected.iter().for_each(|part| daemon.logs_eventually(part));
        }
        drop(nginx);
        let nginx = self.nginx(test_dir, "passenger_app_env production;");
        let page = plain(&nginx.get("/").expect(self.status).text());
        assert!(page.contains("passenger-config "), "a command for the administrator: {page}");
        for part in self.page.iter().chain([&app.display().to_string()]) {
            assert!(!page.contains(&part.to_lowercase()), "\"{part}\" is not for visitors: {page}");
        }
        if let Some(Doctor { arguments, pointer, code, cause_and_remedy }) = &self.doctor {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let (_, report) = report(test_dir, app, &arguments);
            let found = report.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(found["code"], *code, "{report:#}");
            let text = format!("{}\n{}", found["cause"], found["remedy"]);
            contains_both("the doctor", &text, cause_and_remedy);
        }
    }
}

/// A module that is installed in a virtualenv beside the app, and an interpreter that does not see it.
#[test]
fn a_forgotten_virtualenv_is_recommended() {
    let test_dir = TestDir::new();
    let source = "import only_in_the_venv\ndef application(environ, start_response): pass\n";
    let app = test_dir.app("app").python(source).file("venv/pyvenv.cfg", "home = /usr/bin\n");
    let python = PathBuf::from("/usr/bin/python3");
    std::fs::create_dir(app.path("venv/bin")).unwrap();
    symlink(&python, app.path("venv/bin/python")).unwrap();
    let cause = "a Python module is missing: only_in_the_venv";
    let remedy = format!("Use it: passenger_python {};", app.path("venv/bin/python").display());
    let message = words(cause, &remedy);
    let arguments = vec![format!("--python={}", python.display())];
    let doctor = Doctor {
        arguments,
        pointer: "/diagnosis",
        code: "missing_library",
        cause_and_remedy: message.clone(),
    };
    let mistake = Mistake {
        lines: format!("passenger_python {};", python.display()),
        doctor: Some(doctor),
        ..Mistake::of(&app, &message)
    };
    mistake.check(&test_dir, app.dir(), Some(&test_dir.daemon().start()));
}

#[test]
fn an_ignored_port_is_named() {
    const SERVER: &str = "
import http.server
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
print(f'Listening on port {server.server_port}', flush=True)
server.serve_forever()
";
    let test_dir = TestDir::new();
    let app = test_dir.app("app").file("serve.py", SERVER);
    let command = "python3 serve.py";
    let message = words("the app listens on another port than ", "on the port in the variable PORT");
    let doctor = Doctor {
        arguments: vec![format!("--start-command={command}"), "--timeout=10".to_owned()],
        pointer: "/diagnosis",
        code: "wrong_port",
        // It sees the app's sockets.
        cause_and_remedy: words("the app listens on port ", "on the port in the variable PORT"),
    };
    let mistake = Mistake {
        lines: format!("passenger_app_start_command '{command}'; passenger_start_timeout 5s;"),
        doctor: Some(doctor),
        ..Mistake::of(&app, &message)
    };
    mistake.check(&test_dir, app.dir(), Some(&test_dir.daemon().start()));
}

/// Debian creates home directories with this mode. No request reaches the daemon, so its log cannot know.
#[test]
fn a_closed_home_directory_is_named() {
    if !is_root() || User::from_name("www-data").unwrap().is_none() {
        return skipped("a_closed_home_directory_is_named", "it needs root and a user for nginx's workers");
    }
    let test_dir = TestDir::new();
    let app = test_dir.app("home/shop").ruby("run ->(_) { [200, {}, ['shop']] }").owned_by("games");
    let home = test_dir.path("home");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    let closed = home.display().to_string();
    let message = words(&format!("may not enter {closed}"), &format!("chmod o+x {closed}"));
    let doctor = Doctor {
        arguments: Vec::new(),
        pointer: "/problems/0",
        code: "closed_to_nginx",
        cause_and_remedy: message.clone(),
    };
    let mistake =
        Mistake { unprivileged: true, daemon_log: None, doctor: Some(doctor), ..Mistake::of(&app, &message) };
    mistake.check(&test_dir, app.dir(), Some(&test_dir.daemon().start()));
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Neither a daemon nor the doctor can know which socket nginx uses.
#[test]
fn a_wrong_socket_is_named() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { [200, {}, ['shop']] }");
    let socket = test_dir.path("wrong.sock");
    test_dir.expect_log_line(NO_SOCKET);
    let message = words(&format!("{}, does not exist", socket.display()), "as --socket-file");
    let mistake =
        Mistake { socket: Some(socket), status: 502, daemon_log: None, ..Mistake::of(&app, &message) };
    mistake.check(&test_dir, app.dir(), Some(&test_dir.daemon().start()));
}

#[test]
fn a_stopped_daemon_is_named() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { [200, {}, ['shop']] }");
    test_dir.expect_log_line(NO_SOCKET);
    let message = words("does not exist", "systemctl status flying-passenger");
    let doctor = Doctor {
        arguments: Vec::new(),
        pointer: "/problems/0",
        code: "no_daemon",
        cause_and_remedy: words("no daemon is running", "systemctl start flying-passenger"),
    };
    let mistake =
        Mistake { status: 502, daemon_log: None, doctor: Some(doctor), ..Mistake::of(&app, &message) };
    mistake.check(&test_dir, app.dir(), None);
}

/// nginx does not start, so there is no page, and the daemon and the doctor do not see nginx: `nginx -t` has the cause
/// and `validate-install` the remedy.
#[test]
fn a_module_of_another_nginx_is_named() {
    let installed = Installed::new();
    let path = installed.usr.join("lib/nginx/modules/ngx_http_passenger_module.so");
    let mut bytes = std::fs::read(&path).unwrap();
    // The signature begins with the sizes of types; this one is of a machine with other pointers.
    let signature = bytes.windows(7).position(|window| window == b"8,4,8,0" || window == b"8,8,8,0").unwrap();
    bytes[signature] = b'4';
    std::fs::write(&path, bytes).unwrap();
    installed.finds("whether nginx loads the module... ✗", "is not binary compatible");
    installed.finds("whether nginx loads the module... ✗", "rebuild it for");
}

/// nginx decides that there is no application, so the daemon's log cannot know.
#[test]
fn a_missing_startup_file_is_named() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").file("main.txt", "");
    test_dir.expect_log_line("no application is found");
    let remedy = "passenger_app_type and passenger_startup_file";
    let root = app.dir().display();
    let doctor = Doctor {
        arguments: Vec::new(),
        pointer: "/diagnosis",
        code: "no_app",
        cause_and_remedy: words(&format!("no app in {root}"), "--startup-file"),
    };
    let mistake = Mistake {
        status: 404,
        nginx_log: words(&format!("no application is found in {root}"), remedy),
        daemon_log: None,
        doctor: Some(doctor),
        ..Mistake::of(&app, &words("contains nothing that starts an application", remedy))
    };
    mistake.check(&test_dir, app.dir(), Some(&test_dir.daemon().start()));
}

/// The page is the application's, and the daemon does not see the files that nginx serves: `nginx -t` and nginx's log name
/// it. The doctor does not read nginx.conf: it warns where `root` cannot be the usual directory.
#[test]
fn a_root_that_shows_the_source_is_named() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { [200, {}, ['shop']] }");
    let _may_be_missing = std::fs::remove_dir(app.path("public"));
    let root = app.dir().display();
    let _daemon = test_dir.daemon().start();
    let at_root = Mistake { root: app.dir().to_owned(), ..Mistake::of(&app, &words("", "")) };
    let nginx = at_root.nginx(&test_dir, &format!("passenger_app_root {root};"));
    assert_eq!(
        nginx.get("/config.ru").expect(200).text(),
        "run ->(_) { [200, {}, ['shop']] }",
        "as any file"
    );
    let message =
        words(&format!("{root} contains the source of an application (config.ru)"), "let \"root\" be");
    contains_both("nginx's log", &nginx.error_log(), &message);
    let tested = nginx.test_config();
    contains_both("nginx -t", &String::from_utf8_lossy(&tested.stderr), &message);
    let (status, report) = report(&test_dir, app.dir(), &[]);
    assert_eq!(status, 0, "the app itself is well: {report:#}");
    let remedy = format!("root {root}/public;");
    contains_both(
        "the doctor",
        &report["problems"].to_string(),
        &words("visitors can read the app's source", &remedy),
    );
}

/// nginx's own `error_page` takes precedence over the module's pages, with and without `recursive_error_pages`.
#[test]
fn error_page_replaces_the_modules_pages() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { [200, {}, ['shop']] }");
    test_dir.expect_log_line(NO_SOCKET);
    for more in ["", "recursive_error_pages on;"] {
        for (page, expected) in [
            (
                "error_page 502 /sorry.html; location = /sorry.html { passenger_enabled off; return 200 sorry; }",
                502,
            ),
            ("error_page 502 =200 @sorry; location @sorry { passenger_enabled off; return 200 sorry; }", 200),
        ] {
            let mistake = Mistake {
                lines: format!("{more} {page}"),
                socket: Some(test_dir.path("wrong.sock")),
                ..Mistake::of(&app, &words("", ""))
            };
            let nginx = mistake.nginx(&test_dir, "passenger_app_env development;");
            let response = nginx.get("/");
            assert_eq!((response.status(), response.text().as_str()), (expected, "sorry"), "{more} {page}");
        }
    }
}

#[test]
fn the_modules_page_is_a_whole_response() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { [200, {}, ['shop']] }");
    test_dir.expect_log_line(NO_SOCKET);
    let mistake = Mistake { socket: Some(test_dir.path("wrong.sock")), ..Mistake::of(&app, &words("", "")) };
    let nginx = mistake.nginx(&test_dir, "");
    let response = nginx.get("/").expect(502);
    assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
    let body = response.text();
    assert_eq!(response.header("Content-Length"), Some(&*body.len().to_string()));
    assert!(body.starts_with("<!DOCTYPE html>") && body.ends_with("</html>\n"), "{body}");
    assert!(!body.contains("<center>"), "nginx's own page is replaced: {body}");
    let head = nginx.send(test_support::Request::new("HEAD", "/")).expect(502);
    assert_eq!(head.header("Content-Length"), Some(&*body.len().to_string()));
    // Two requests on one connection: the second page is as whole as the first.
    let mut connection = nginx.connect();
    for _ in 0..2 {
        connection.send(test_support::Request::get("/").bytes("keep-alive"));
        assert_eq!(connection.read_response().text(), body);
    }
}
