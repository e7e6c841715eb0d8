//! Entry points of real frameworks: projects as their generators make them, without a directive.

use std::process::Command;

use test_support::{App, OneApp, framework, node_modules, python_venv, run};

fn with_venv(app: App) -> App {
    python_venv(app.dir());
    app
}

/// What the log says about an application with the virtual environment in its directory.
fn logs_venv(setup: &OneApp, entry: &str) {
    let python = setup.app.path("venv/bin/python");
    setup.daemon.logs_eventually(&format!(
        " runs {entry}, with {} (virtual environment in the application's directory)",
        python.display()
    ));
}

#[test]
fn flask_in_a_virtual_environment() {
    let source = "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/')\ndef hello():\n    return 'flask'\n";
    for lines in ["", "passenger_spawn_method smart;", "passenger_load_shell_envvars off;"] {
        let setup = OneApp::app(lines, |app| with_venv(app).file("app.py", source));
        assert_eq!(setup.nginx.get("/").expect(200).text(), "flask", "{lines}");
        logs_venv(&setup, "app.py (found: it defines the application)");
    }
}

#[test]
fn fastapi_in_a_virtual_environment() {
    let source = "from fastapi import FastAPI\napp = FastAPI()\n\n@app.get('/')\nasync def hello():\n    return 'fastapi'\n";
    for file in ["main.py", "asgi.py"] {
        let setup = OneApp::app("", |app| with_venv(app).file(file, source));
        assert_eq!(setup.nginx.get("/").expect(200).text(), "\"fastapi\"");
        logs_venv(&setup, &format!("{file} (found: it defines the application)"));
    }
}

#[test]
fn a_django_project_as_its_generator_makes_it() {
    let setup = OneApp::app("", |app| {
        let app = with_venv(app);
        let mut generator = Command::new(app.path("venv/bin/python"));
        run(generator.args(["-m", "django", "startproject", "shop", "."]).current_dir(app.dir()));
        app
    });
    let page = setup.nginx.get("/").expect(200).text();
    assert!(page.contains("The install worked successfully!"), "{page}");
    logs_venv(&setup, "shop/wsgi.py (found: manage.py names the settings shop.settings)");
}

#[test]
fn a_virtual_environment_provides_the_programs_of_a_command() {
    // The application is in a package, so that it is started by the command.
    let setup = OneApp::app("", |app| {
        with_venv(app)
            .file("api/web.py", "import falcon\nprint(falcon.__file__)\n")
            .file("Procfile", "web: python -m api.web && python -m http.server --bind 127.0.0.1 $PORT")
    });
    setup.nginx.get("/Procfile").expect(200);
    setup.daemon.logs_eventually("venv/lib/");
}

#[test]
fn a_configured_interpreter_is_used_instead() {
    let source =
        "import sys\ndef app(env, start):\n    start('200 OK', [])\n    return [sys.executable.encode()]\n";
    let setup =
        OneApp::app("passenger_python /usr/bin/python3;", |app| with_venv(app).file("app.py", source));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "/usr/bin/python3");
}

#[test]
fn a_build_of_nextjs() {
    let build = framework("node/next/.next");
    let setup = OneApp::app("passenger_start_timeout 90;", |app| {
        node_modules(app.dir());
        for name in [".next", "app", "public", "next.config.mjs"] {
            run(Command::new("cp").arg("-r").arg(build.with_file_name(name)).arg(app.dir()));
        }
        run(Command::new("chmod").args(["-R", "a+rwX", ".next"]).current_dir(app.dir()));
        app.file("package.json", r#"{"scripts": {"start": "next start"}, "dependencies": {"next": "*"}}"#)
    });
    let page = setup.nginx.get("/").expect(200).text();
    assert!(page.contains("<h1>hello from next</h1>"), "{page}");
    setup.daemon.logs_eventually(" runs next start -H 127.0.0.1 -p $PORT (found: a build of Next.js)");
}
