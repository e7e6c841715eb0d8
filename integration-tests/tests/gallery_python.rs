//! Python frameworks from PyPI, unmodified, behind nginx and the daemon: each is driven through its real features by a
//! client in Python (`apps/gallery-python`).

use std::path::Path;
use std::process::Command;

use test_support::{App, OneApp, python_venv, run, workspace};

/// One process, so that clients of a chat meet; the venv is the app's.
const LINES: &str = "passenger_python %%DIR%%/app/venv/bin/python; passenger_max_instances 1; \
    passenger_app_env production;";
const THREADS: &str = "passenger_concurrency_model thread; passenger_thread_count 8;";

#[test]
fn flask_with_flask_sock() {
    visit("flask", THREADS);
}

#[test]
fn flask_socketio_by_polling_and_websocket() {
    visit("socketio", THREADS);
}

#[test]
fn bottle() {
    visit("bottle", "");
}

#[test]
fn falcon() {
    visit("falcon", "");
}

#[test]
fn pyramid() {
    visit("pyramid", "");
}

#[test]
fn starlette() {
    visit("starlette", "");
}

#[test]
fn fastapi() {
    visit("fastapi", "");
}

#[test]
fn django_by_wsgi() {
    visit_django("from shop.wsgi import application\n", "");
}

#[test]
fn django_by_asgi() {
    visit_django("from shop.asgi import application\n", "");
}

#[test]
fn django_with_channels() {
    visit_django("from shop.channels import application\n", "channels");
}

/// The app and its client of the gallery; `lines` are added to the configuration.
fn visit(name: &str, lines: &str) {
    let source = gallery(&format!("{name}_app.py"));
    let setup = OneApp::app(&format!("{LINES} {lines}"), |app| with_venv(app).python(&source));
    visit_with(&setup, &format!("{name}_client.py"), "");
}

/// A Django project as its generator makes it, with the gallery's views, and a startup file.
fn visit_django(startup_file: &str, what: &str) {
    let setup = OneApp::app(LINES, |app| django(with_venv(app)).python(startup_file));
    visit_with(&setup, "django_client.py", what);
}

fn django(app: App) -> App {
    let python = app.path("venv/bin/python");
    let manage = |args: &[&str]| {
        run(Command::new(&python)
            .args(args)
            .current_dir(app.dir())
            .env("DJANGO_SUPERUSER_PASSWORD", "secret"))
    };
    manage(&["-m", "django", "startproject", "shop", "."]);
    let settings = std::fs::read_to_string(app.path("shop/settings.py")).unwrap();
    let more = "\nDEBUG = False\nALLOWED_HOSTS = ['127.0.0.1']\nINSTALLED_APPS += ['channels']\n\
        CHANNEL_LAYERS = {'default': {'BACKEND': 'channels.layers.InMemoryChannelLayer'}}\n";
    app.write("shop/settings.py", settings + more);
    app.write("shop/urls.py", gallery("django_urls.py"));
    app.write("shop/channels.py", gallery("django_channels.py"));
    manage(&["manage.py", "migrate"]);
    manage(&["manage.py", "createsuperuser", "--noinput", "--username=admin", "--email=a@example.org"]);
    // SQLite writes its database and beside it, as the app's user.
    run(Command::new("chmod").args(["a+rwX", "."]).current_dir(app.dir()));
    run(Command::new("chmod").args(["a+rw", "db.sqlite3"]).current_dir(app.dir()));
    app
}

fn with_venv(app: App) -> App {
    python_venv(app.dir());
    app
}

fn gallery(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap()
}

fn directory() -> std::path::PathBuf {
    workspace().join("integration-tests/apps/gallery-python")
}

/// Runs a client of the gallery; what fails in it fails the test, with the app's log.
#[track_caller]
fn visit_with(setup: &OneApp, client: &str, what: &str) {
    let python: &Path = &setup.app.path("venv/bin/python");
    let mut command = Command::new("timeout");
    command.arg("120").arg(python).arg("-B").arg(directory().join(client));
    let reported = run(command.arg(setup.nginx.port().to_string()).arg(what));
    assert_eq!(reported, "ok\n");
}
