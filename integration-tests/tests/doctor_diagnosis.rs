//! `passenger-config doctor`: its diagnoses, each with a broken app.

use std::os::unix::fs::PermissionsExt;

use test_support::TestDir;

use crate::doctor::{doctor, report, text};

/// An app with one file, and the expected diagnosis.
struct BrokenApp {
    file: &'static str,
    source: &'static str,
    arguments: &'static [&'static str],
    cause: &'static str,
    remedy: &'static str,
}

const fn broken(
    file: &'static str,
    source: &'static str,
    arguments: &'static [&'static str],
    cause: &'static str,
    remedy: &'static str,
) -> BrokenApp {
    BrokenApp { file, source, arguments, cause, remedy }
}

fn diagnose(apps: &[BrokenApp]) {
    for (at, BrokenApp { file, source, arguments, cause, remedy }) in apps.iter().enumerate() {
        let test_dir = TestDir::new();
        let app = test_dir.app(&format!("app{at}")).file(file, source);
        std::fs::set_permissions(app.path(file), PermissionsExt::from_mode(0o644)).unwrap();
        let (status, report) = report(&test_dir, app.dir(), arguments);
        let found = report["diagnosis"]["cause"].as_str().unwrap_or_default();
        assert!(found.contains(cause), "{cause} is not the diagnosis of {source}: {report:#}");
        let found = report["diagnosis"]["remedy"].as_str().unwrap();
        assert!(found.contains(remedy), "{remedy} is not the remedy for {source}: {found}");
        assert_eq!((status, report["ok"].as_bool()), (1, Some(false)));
    }
}

#[test]
fn errors_in_the_code_are_diagnosed() {
    diagnose(&[
        broken("config.ru", "require 'no_such_gem'", &[], "a gem is missing: no_such_gem", "bundle install"),
        broken(
            "passenger_wsgi.py",
            "import no_such_module",
            &[],
            "Python module is missing: no_such_module",
            "pip install no_such_module",
        ),
        broken(
            "app.js",
            "require('no-such-package')",
            &[],
            "a package is missing: no-such-package",
            "npm install",
        ),
        broken(
            "app.js",
            "require('./lib/no-such-file')",
            &[],
            "a file of the app is missing: ./lib/no-such-file",
            "upper and lower case",
        ),
        broken(
            "config.ru",
            "run ->(env) { [",
            &[],
            "a file of the app has a syntax error",
            "Fix config.ru:1",
        ),
        broken(
            "passenger_wsgi.py",
            "def application(:",
            &[],
            "a file of the app has a syntax error",
            "Fix passenger_wsgi.py:1",
        ),
        broken("app.js", "function ( {", &[], "a file of the app has a syntax error", "Fix app.js:1"),
        broken("passenger_wsgi.py", "x = 1", &[], "contains no application", "define `application`"),
        broken(
            "config.ru",
            "ENV.fetch('API_TOKEN')",
            &[],
            "the app needs the variable API_TOKEN",
            "--env API_TOKEN=VALUE",
        ),
        broken(
            "passenger_wsgi.py",
            "import os; os.environ['API_TOKEN']",
            &[],
            "the app needs the variable API_TOKEN",
            "passenger_env_var API_TOKEN",
        ),
        broken(
            "app.js",
            "throw new Error('API_TOKEN is not set')",
            &[],
            "the app needs the variable API_TOKEN",
            "--env API_TOKEN=VALUE",
        ),
        broken(
            "config.ru",
            "nil.upcase",
            &[],
            "the app raises an error while it is loaded: NoMethodError",
            "config.ru:1",
        ),
        broken(
            "app.js",
            "throw new Error('connect ECONNREFUSED 127.0.0.1:5432')",
            &[],
            "refuses connections",
            "Check that the service",
        ),
    ]);
}

#[test]
fn a_program_that_cannot_run_is_diagnosed() {
    diagnose(&[
        broken(
            "config.ru",
            "",
            &["--ruby=/nonexistent/ruby"],
            "\"/nonexistent/ruby\": No such file or directory",
            "passenger_ruby (here --ruby)",
        ),
        broken(
            "app.js",
            "",
            &["--nodejs=no-such-node"],
            "the interpreter is missing: \"no-such-node\" is in none of the directories of PATH",
            "passenger_nodejs (here --nodejs)",
        ),
        broken(
            "passenger_wsgi.py",
            "",
            &["--python=/etc/passwd"],
            "the interpreter cannot be run",
            "chmod a+rx",
        ),
        broken(
            "x.txt",
            "",
            &["--type=rack"],
            "the startup file is missing: ",
            "passenger_startup_file (here --startup-file)",
        ),
        broken(
            "app.js",
            "",
            &["--startup-file=gone.js", "--type=node"],
            "gone.js",
            "the last deployment is complete",
        ),
        broken(
            "x.txt",
            "",
            &["--start-command=./x.txt $PORT"],
            "the start command cannot be run: ",
            "chmod +x",
        ),
    ]);
}

/// The limits leave a busy machine enough time to start an interpreter: the diagnosis depends on the progress of the start.
#[test]
fn an_app_that_is_not_ready_is_diagnosed() {
    diagnose(&[
        broken(
            "serve.py",
            "import http.server as h; h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler).serve_forever()",
            &["--start-command=python3 serve.py", "--timeout=10"],
            "the app listens on port ",
            "on the port in the variable PORT",
        ),
        broken(
            "x.txt",
            "",
            &["--start-command=exec sleep 1000", "--timeout=1"],
            "not ready within 1 s: it listens on no port",
            "in the foreground",
        ),
        broken(
            "app.js",
            "setInterval(() => {}, 1000)",
            &["--timeout=5"],
            "it has not called listen",
            "passenger_start_timeout",
        ),
        broken(
            "config.ru",
            "sleep",
            &["--timeout=5"],
            "the app runs, and was not ready within 5 s",
            "while it is loaded",
        ),
        broken(
            "x.txt",
            "",
            &["--start-command=sleep 1000 & exit 0"],
            "exited immediately, with status 0",
            "stay in the foreground",
        ),
        broken(
            "x.txt",
            "",
            &["--start-command=echo last words; exit 3"],
            "with status 3; its last output: last words",
            "Check the app's output above",
        ),
        broken(
            "config.ru",
            "Process.kill(:KILL, $$); sleep",
            &[],
            "was killed by signal 9 (SIGKILL)",
            "dmesg",
        ),
        broken(
            "app.js",
            "throw new Error('listen EADDRINUSE: address already in use :::80')",
            &[],
            "port is already in use",
            "variable PORT",
        ),
    ]);
}

#[test]
fn a_failed_response_is_diagnosed() {
    diagnose(&[
        broken(
            "config.ru",
            "run ->(_) { [500, {}, ['bad things']] }",
            &[],
            "responds with status 500: bad things",
            "--environment development",
        ),
        broken(
            "config.ru",
            "run ->(_) { raise 'oops' }",
            &[],
            "does not respond: it failed: RuntimeError: oops",
            "The app's code failed",
        ),
        broken(
            "config.ru",
            "run ->(_) { exit! 3 }",
            &[],
            "its process exited with status 3; visitors get status 502",
            "its process exited",
        ),
        broken(
            "config.ru",
            "run ->(_) { sleep }",
            &["--timeout=5"],
            "does not respond: no response within 5 s",
            "kill -QUIT PID",
        ),
        broken(
            "config.ru",
            "run ->(env) { [env['PATH_INFO'] == '/health' ? 503 : 200, {}, [env['QUERY_STRING']]] }",
            &["--path=/health?x=1"],
            "responds with status 503: x=1",
            "its own log",
        ),
    ]);
}

#[test]
fn a_directory_without_an_app_is_reported() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run 1").file("django/manage.py", "");
    for (dir, cause, remedy) in [
        ("public", "there is no app in ", "in the parent directory"),
        ("django", "manage.py does not set DJANGO_SETTINGS_MODULE", "passenger_startup_file"),
        ("gone", " is not a directory", "Specify the directory of the app"),
    ] {
        let (status, report) = report(&test_dir, &app.path(dir), &[]);
        let found = |what: &str| report["diagnosis"][what].as_str().unwrap().to_owned();
        assert_eq!(status, 1);
        assert!(found("cause").contains(cause) && found("remedy").contains(remedy), "{report}");
    }
    let shown = text(&doctor(&test_dir, &app.path("gone")).output().unwrap());
    assert!(
        shown.contains("\nDiagnosis   : ") && shown.contains("\nWhat to do  : Specify the directory"),
        "{shown}"
    );
}
