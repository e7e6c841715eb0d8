//! `passenger-config doctor`: apps that are broken in each of the ways that it knows.

use std::os::unix::fs::PermissionsExt;

use stage::Stage;

use crate::doctor::{doctor, report, text};

/// An app with one file, and what has to be said of it.
struct Patient {
    file: &'static str,
    source: &'static str,
    arguments: &'static [&'static str],
    problem: &'static str,
    advice: &'static str,
}

const fn patient(
    file: &'static str,
    source: &'static str,
    arguments: &'static [&'static str],
    problem: &'static str,
    advice: &'static str,
) -> Patient {
    Patient { file, source, arguments, problem, advice }
}

fn diagnose(patients: &[Patient]) {
    for (at, Patient { file, source, arguments, problem, advice }) in patients.iter().enumerate() {
        let stage = Stage::new();
        let app = stage.app(&format!("app{at}")).file(file, source);
        std::fs::set_permissions(app.path(file), PermissionsExt::from_mode(0o644)).unwrap();
        let (status, report) = report(&stage, app.dir(), arguments);
        let told = report["diagnosis"]["problem"].as_str().unwrap_or_default();
        assert!(told.contains(problem), "{problem} is not the diagnosis of {source}: {report:#}");
        let told = report["diagnosis"]["advice"].as_str().unwrap();
        assert!(told.contains(advice), "{advice} is not the advice for {source}: {told}");
        assert_eq!((status, report["ok"].as_bool()), (1, Some(false)));
    }
}

#[test]
fn what_the_code_lacks_is_named() {
    diagnose(&[
        patient("config.ru", "require 'no_such_gem'", &[], "a gem is missing: no_such_gem", "bundle install"),
        patient(
            "passenger_wsgi.py",
            "import no_such_module",
            &[],
            "Python module is missing: no_such_module",
            "pip install no_such_module",
        ),
        patient(
            "app.js",
            "require('no-such-package')",
            &[],
            "a package is missing: no-such-package",
            "npm ci",
        ),
        patient(
            "app.js",
            "require('./lib/no-such-file')",
            &[],
            "a file of the app is missing: ./lib/no-such-file",
            "in capitals",
        ),
        patient(
            "config.ru",
            "run ->(env) { [",
            &[],
            "a file of the app has a syntax error",
            "Mend config.ru:1",
        ),
        patient(
            "passenger_wsgi.py",
            "def application(:",
            &[],
            "a file of the app has a syntax error",
            "Mend passenger_wsgi.py:1",
        ),
        patient("app.js", "function ( {", &[], "a file of the app has a syntax error", "Mend app.js:1"),
        patient(
            "passenger_wsgi.py",
            "x = 1",
            &[],
            "there is no application in the startup file",
            "define `application`",
        ),
        patient(
            "config.ru",
            "ENV.fetch('API_TOKEN')",
            &[],
            "the app needs the variable API_TOKEN",
            "--env API_TOKEN=VALUE",
        ),
        patient(
            "passenger_wsgi.py",
            "import os; os.environ['API_TOKEN']",
            &[],
            "the app needs the variable API_TOKEN",
            "passenger_env_var API_TOKEN",
        ),
        patient(
            "app.js",
            "throw new Error('API_TOKEN is not set')",
            &[],
            "the app needs the variable API_TOKEN",
            "--env API_TOKEN=VALUE",
        ),
        patient(
            "config.ru",
            "nil.upcase",
            &[],
            "the app raises an error while it is loaded: NoMethodError",
            "config.ru:1",
        ),
        patient(
            "app.js",
            "throw new Error('connect ECONNREFUSED 127.0.0.1:5432')",
            &[],
            "does not take its connections",
            "Does that service",
        ),
    ]);
}

#[test]
fn what_the_program_lacks_is_named() {
    diagnose(&[
        patient(
            "config.ru",
            "",
            &["--ruby=/nonexistent/ruby"],
            "\"/nonexistent/ruby\": No such file or directory",
            "passenger_ruby (here --ruby)",
        ),
        patient(
            "app.js",
            "",
            &["--nodejs=no-such-node"],
            "the interpreter is missing: \"no-such-node\" is in none of the directories of PATH",
            "passenger_nodejs (here --nodejs)",
        ),
        patient(
            "passenger_wsgi.py",
            "",
            &["--python=/etc/passwd"],
            "the interpreter cannot be run",
            "chmod a+rx",
        ),
        patient(
            "x.txt",
            "",
            &["--type=rack"],
            "the startup file is missing: ",
            "passenger_startup_file (here --startup-file)",
        ),
        patient(
            "app.js",
            "",
            &["--startup-file=gone.js", "--type=node"],
            "gone.js",
            "was the last deployment not complete",
        ),
        patient(
            "x.txt",
            "",
            &["--start-command=./x.txt $PORT"],
            "the start command cannot be run: ",
            "chmod +x",
        ),
    ]);
}

/// The limits leave a busy machine the time to start an interpreter: the diagnosis depends on how far the app came.
#[test]
fn an_app_that_does_not_take_requests_is_told_why() {
    diagnose(&[
        patient(
            "serve.py",
            "import http.server as h; h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler).serve_forever()",
            &["--start-command=python3 serve.py", "--timeout=10"],
            "the app listens on port ",
            "on the port in the variable PORT",
        ),
        patient(
            "x.txt",
            "",
            &["--start-command=exec sleep 1000", "--timeout=1"],
            "not ready within 1 s: it listens on no port",
            "in the foreground",
        ),
        patient(
            "app.js",
            "setInterval(() => {}, 1000)",
            &["--timeout=5"],
            "it has not called listen",
            "passenger_start_timeout",
        ),
        patient(
            "config.ru",
            "sleep",
            &["--timeout=5"],
            "the app runs, and was not ready within 5 s",
            "while it is loaded",
        ),
        patient(
            "x.txt",
            "",
            &["--start-command=sleep 1000 & exit 0"],
            "has ended at once, with status 0",
            "stay in the foreground",
        ),
        patient(
            "x.txt",
            "",
            &["--start-command=echo last words; exit 3"],
            "with status 3; its last words: last words",
            "has printed",
        ),
        patient(
            "config.ru",
            "Process.kill(:KILL, $$); sleep",
            &[],
            "was killed by signal 9 (SIGKILL)",
            "dmesg",
        ),
        patient(
            "app.js",
            "throw new Error('listen EADDRINUSE: address already in use :::80')",
            &[],
            "a port that is taken",
            "variable PORT",
        ),
    ]);
}

#[test]
fn an_app_that_answers_badly_is_told_how() {
    diagnose(&[
        patient(
            "config.ru",
            "run ->(_) { [500, {}, ['bad things']] }",
            &[],
            "answers with status 500: bad things",
            "--environment development",
        ),
        patient(
            "config.ru",
            "run ->(_) { raise 'oops' }",
            &[],
            "does not answer: it failed: RuntimeError: oops",
            "An error in the app's code",
        ),
        patient(
            "config.ru",
            "run ->(_) { exit! 3 }",
            &[],
            "its process exited with status 3; visitors get status 502",
            "the end of its process",
        ),
        patient(
            "config.ru",
            "run ->(_) { sleep }",
            &["--timeout=5"],
            "does not answer: there was no answer within 5 s",
            "kill -QUIT PID",
        ),
        patient(
            "config.ru",
            "run ->(env) { [env['PATH_INFO'] == '/health' ? 503 : 200, {}, [env['QUERY_STRING']]] }",
            &["--path=/health?x=1"],
            "answers with status 503: x=1",
            "its own log",
        ),
    ]);
}

#[test]
fn where_there_is_no_app_it_says_what_is_missing() {
    let stage = Stage::new();
    let app = stage.app("app").ruby("run 1").file("django/manage.py", "");
    for (dir, problem, advice) in [
        ("public", "there is no app in ", "one directory up"),
        ("django", "neither config.ru nor app.js nor passenger_wsgi.py", "This looks like Django"),
        ("gone", " is no directory", "Name the app's directory"),
    ] {
        let (status, report) = report(&stage, &app.path(dir), &[]);
        let told = |what: &str| report["diagnosis"][what].as_str().unwrap().to_owned();
        assert_eq!(status, 1);
        assert!(told("problem").contains(problem) && told("advice").contains(advice), "{report}");
    }
    let shown = text(&doctor(&stage, &app.path("gone")).output().unwrap());
    assert!(
        shown.contains("\nDiagnosis   : ") && shown.contains("\nWhat to do  : Name the app's"),
        "{shown}"
    );
}
