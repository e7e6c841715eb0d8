//! `passenger start`: one command for an app of each language, files that change, and apps that do not start.

use std::path::Path;

use test_support::{
    App, ORDINARY_USER, StartedApp, TestDir, eventually, is_root, node_modules, passenger_output,
    require_debian_package,
};

const WSGI: &str = "def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version 1']
";

/// Gives an app to the user who runs it.
pub(crate) fn of_ordinary_user(app: App) -> App {
    if is_root() { app.owned_by(ORDINARY_USER) } else { app }
}

/// An app whose response is a version.
pub(crate) fn versioned(test_dir: &TestDir) -> App {
    of_ordinary_user(test_dir.app("shop").python(WSGI))
}

#[test]
fn a_flask_app_answers_after_one_command() {
    require_debian_package("python3-flask", "/usr/share/doc/python3-flask");
    let test_dir = TestDir::new();
    let source = "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/')\ndef hello():\n    return 'hello flask'\n";
    let app = of_ordinary_user(test_dir.app("hello").file("app.py", source));
    let started = StartedApp::start(&test_dir, app.dir(), &["--python", "/usr/bin/python3"]);
    assert_eq!(started.get("/").expect(200).text(), "hello flask");
    let shown = started.shown();
    assert!(
        shown.contains(
            " is python, Flask; starts app.py (it defines the application) in the environment development"
        ),
        "{shown}"
    );
}

#[test]
fn the_virtual_environment_that_is_used_is_shown() {
    let test_dir = TestDir::new();
    let source =
        "import sys\nPREFIX = sys.prefix.encode()\n".to_owned() + &WSGI.replace("b'version 1'", "PREFIX");
    let app = test_dir.app("shop").file("wsgi.py", source);
    let mut venv = std::process::Command::new("/usr/bin/python3");
    venv.args(["-m", "venv", "--without-pip"]).arg(app.path(".venv"));
    assert!(venv.status().unwrap().success());
    let app = of_ordinary_user(app);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    let venv = app.path(".venv").display().to_string();
    assert_eq!(started.get("/").expect(200).text(), venv);
    let reason = "(virtual environment in the application's directory)";
    let line = format!("passenger: runs with {venv}/bin/python {reason}\n");
    eventually("the interpreter is shown", || started.shown().contains(&line));
}

#[test]
fn an_express_app_answers_after_one_command() {
    let test_dir = TestDir::new();
    let source = "const app = require('express')();\napp.get('/', (request, response) => response.send('hello express'));\n\
                  app.listen(process.env.PORT || 8080);\n";
    let manifest = r#"{"name": "hello", "dependencies": {"express": "*"}}"#;
    let app = test_dir.app("hello").file("server.js", source).file("package.json", manifest);
    node_modules(app.dir());
    let app = of_ordinary_user(app);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/").expect(200).text(), "hello express");
    let shown = started.shown();
    assert!(shown.contains(" is nodejs, Express; starts server.js ("), "{shown}");
}

#[test]
fn a_rack_app_answers_after_one_command() {
    let test_dir = TestDir::new();
    let source = "run ->(env) { [200, {}, ['hello rack, ' + ENV['RACK_ENV']]] }";
    let app = of_ordinary_user(test_dir.app("hello").ruby(source));
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/").expect(200).text(), "hello rack, development");
}

#[test]
fn a_changed_file_is_served_without_a_command() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/").expect(200).text(), "version 1");
    app.write("passenger_wsgi.py", WSGI.replace("version 1", "version 2"));
    eventually("the new version responds", || started.get("/").text() == "version 2");
    eventually("the change is shown", || {
        started.shown().contains("passenger: changed: passenger_wsgi.py; restarting\n")
    });

    // Files that are no code have no effect.
    let restarts = || started.shown().matches("; restarting").count();
    let before = restarts();
    app.write("development.log", "a line");
    app.write("node_modules/x/index.js", "");
    app.write("tmp/cache", "");
    app.write("lib/shop.py", "price = 1");
    eventually("the next change is noticed", || started.shown().contains("lib/shop.py"));
    assert_eq!(restarts(), before + 1, "{}", started.shown());
}

#[test]
fn a_broken_file_shows_its_cause_until_it_is_saved_again() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    started.get("/").expect(200);
    app.write("passenger_wsgi.py", WSGI.to_owned() + "def (\n");
    eventually("the page reports the error", || {
        let response = started.get("/");
        response.status() == 500 && response.text().contains("syntax error")
    });
    let cause = "passenger: the app does not start: a file of the app has a syntax error: invalid syntax (passenger_wsgi.py, line 4)";
    eventually("cause and hint are shown", || {
        started.shown().contains("passenger: save a file to try again")
    });
    let shown = started.shown();
    let after = shown.split(cause).nth(1).unwrap_or_default();
    assert!(after.contains("SyntaxError: invalid syntax"), "the traceback follows the cause: {shown}");

    app.write("passenger_wsgi.py", WSGI.replace("version 1", "version 3"));
    eventually("the repaired version responds", || started.get("/").text() == "version 3");
    let shown = started.shown();
    assert_eq!(shown.matches("the app does not start").count(), 1, "the cause is shown once: {shown}");
    assert_eq!(shown.matches("SyntaxError").count(), 1, "the traceback is shown once: {shown}");
}

#[test]
fn an_app_that_is_broken_from_the_beginning_starts_when_it_is_repaired() {
    let test_dir = TestDir::new();
    let app = of_ordinary_user(test_dir.app("shop").python("import no_such_module_anywhere\n"));
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    eventually("the cause is shown without a request", || {
        started.shown().contains("passenger: the app does not start: ")
    });
    assert!(started.get("/").expect(500).text().contains("no_such_module_anywhere"));
    app.write("passenger_wsgi.py", WSGI);
    eventually("the repaired version responds", || started.get("/").text() == "version 1");
}

#[test]
fn lines_of_the_app_are_shown_as_it_prints_them() {
    let test_dir = TestDir::new();
    let source = "import sys\nprint('loading', file=sys.stderr)\nprint('\\033[31mred\\033[0m \\033[2Jclear', flush=True)\n";
    let app = of_ordinary_user(test_dir.app("shop").python(&(source.to_owned() + WSGI)));
    let log = test_dir.path("home/shop.log");
    let started = StartedApp::start(&test_dir, app.dir(), &["--log-file", log.to_str().unwrap()]);
    started.get("/").expect(200);
    for line in ["\nloading\n", "\n\u{1b}[31mred\u{1b}[0m ?[2Jclear\n"] {
        eventually("the line is shown, with colours only", || started.shown().contains(line));
    }
    eventually("the lines are in the log file", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("loading\n"))
    });
}

#[test]
fn static_files_are_served_and_their_changes_restart_nothing() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    app.write("public/logo.txt", "logo 1");
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/logo.txt").expect(200).text(), "logo 1");
    app.write("public/logo.txt", "logo 2");
    eventually("the new file is served", || started.get("/logo.txt").text() == "logo 2");
    assert!(!started.shown().contains("restarting"), "{}", started.shown());
}

#[test]
fn flags_have_their_effect() {
    let test_dir = TestDir::new();
    let source = "run ->(env) { [200, {}, [[ENV['RACK_ENV'], ENV['COLOUR'], Gem.ruby].join(' ')]] }";
    let app = test_dir.app("shop").file("other.ru", source).file("data.csv", "1");
    let app = of_ordinary_user(app);
    let ruby = std::fs::canonicalize("/usr/bin/ruby").unwrap();
    let ruby = ruby.to_str().unwrap();
    let arguments = [
        "--rackup=other.ru",
        "--environment=staging",
        "--envvar=COLOUR=green",
        "--ruby",
        ruby,
        "--max-pool-size=2",
        "--min-instances=2",
        "--ignore=*.csv",
        "--address=127.0.0.1",
        "--disable-turbocaching",
        "--load-shell-envvars",
    ];
    let started = StartedApp::start(&test_dir, app.dir(), &arguments);
    let text = started.get("/").expect(200).text();
    assert!(text.starts_with("staging green /"), "{text}");
    eventually("two processes are ready", || started.shown().matches(" is ready, after ").count() == 2);
    app.write("data.csv", "2");
    app.write("lib.rb", "");
    eventually("the change of the code is noticed", || started.shown().contains("changed: lib.rb;"));
    drop(started);

    let arguments = ["--app-type=rack", "--startup-file=other.ru", "--no-watch"];
    let started = StartedApp::start(&test_dir, app.dir(), &arguments);
    started.get("/").expect(200);
    assert!(!started.shown().contains("it restarts when its files change"), "{}", started.shown());
    drop(started);

    let server = "const answer = (request, response) => response.end('generic ' + process.env.NODE_ENV);\n\
                  require('http').createServer(answer).listen(process.env.PORT);";
    app.write("serve.js", server);
    let arguments = ["--app-start-command=node serve.js", "--nodejs=node", "--python=python3"];
    let started = StartedApp::start(&test_dir, app.dir(), &arguments);
    assert_eq!(started.get("/").expect(200).text(), "generic development");
}

#[test]
fn keys_of_the_passengerfile_have_their_effect() {
    let test_dir = TestDir::new();
    let file = r#"{"environment": "staging", "envvars": {"COLOUR": "blue"}, "startup_file": "other.py",
                   "app_type": "wsgi", "min_instances": 2, "max_pool_size": 3}"#;
    let source = "import os\n".to_owned() + &WSGI.replace("b'version 1'", "os.environ['COLOUR'].encode()");
    let app = test_dir.app("shop").file("other.py", source).file("Passengerfile.json", file);
    let app = of_ordinary_user(app);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/").expect(200).text(), "blue");
    assert!(
        started.shown().contains(" is python; starts other.py in the environment staging"),
        "{}",
        started.shown()
    );
    drop(started);
    let started = StartedApp::start(&test_dir, app.dir(), &["-e", "test", "--envvar", "COLOUR=red"]);
    assert_eq!(started.get("/").expect(200).text(), "red", "flags take precedence");
    assert!(started.shown().contains("in the environment test"), "{}", started.shown());
}

#[test]
fn mistakes_are_explained() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let refused = |directory: &Path, arguments: &[&str], expected: &str| {
        let all = [&["start", "--port=0"], arguments].concat();
        let (status, shown) = passenger_output(&test_dir, directory, &all);
        assert!(status == Some(1) && shown.contains(expected), "{arguments:?}: {status:?} {shown}");
    };
    refused(app.dir(), &["--startup-file=missing.py"], "missing.py does not exist");
    refused(
        app.dir(),
        &["--address=example.org"],
        "invalid value \"example.org\" in \"--address\": must be an IP",
    );
    refused(app.dir(), &["--address=203.0.113.1"], "does not have that address; specify another --address");
    refused(app.dir(), &["--envvar=COLOUR"], "invalid value \"COLOUR\" in \"--envvar\": must be NAME=VALUE");
    refused(app.dir(), &["--ssl"], "unexpected argument '--ssl'");
    refused(app.dir(), &["--max-pool-size=0"], "invalid value '0'");
    refused(app.dir(), &["/nonexistent/app"], "cannot use /nonexistent/app: No such file or directory");
    refused(app.dir(), &["passenger_wsgi.py"], "is not a directory; specify the directory of the app");
    refused(&app.path("public"), &[], "there is no app in ");

    app.write("Passengerfile.json", r#"{"prot": 3000}"#);
    refused(app.dir(), &[], "unknown key \"prot\" in ");
    app.write("Passengerfile.json", "{");
    refused(app.dir(), &[], "Passengerfile.json");
}
