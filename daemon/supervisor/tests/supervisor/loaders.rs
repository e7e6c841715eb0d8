//! The loaders of this source tree, started as real processes.

use std::fs;

use common::link::{Address, SpawnSpec, StopHow};
use protocol::request::AppKind;

use crate::daemon::{Daemon, spec};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("a_ruby_app_comes_up_and_goes", a_ruby_app_comes_up_and_goes),
    test("a_python_app_comes_up_and_goes", a_python_app_comes_up_and_goes),
    test("a_node_app_comes_up_and_goes", a_node_app_comes_up_and_goes),
    test("an_app_that_fails_reports_it", an_app_that_fails_reports_it),
];

const LOADERS: &str = concat!("--loaders-dir=", env!("CARGO_MANIFEST_DIR"), "/../loaders");

fn app(daemon: &Daemon, kind: AppKind, file: &str, text: &str) -> SpawnSpec {
    let root = daemon.app("app");
    fs::write(root.join(file), text).unwrap();
    SpawnSpec { startup_file: file.into(), ..spec(kind, &root) }
}

fn comes_up_and_goes(kind: AppKind, file: &str, text: &str) {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let spec = app(&daemon, kind, file, text);
    let (record, report) = daemon.spawn_reported(spec);
    assert_eq!(report, "loading\nready\n");
    assert!(matches!(record.address, Address::Unix(_)));
    daemon.stop(record.process, StopHow::Gracefully);
    assert_eq!(daemon.exited(record.process), "exited with status 0");
}

fn a_ruby_app_comes_up_and_goes() {
    comes_up_and_goes(AppKind::Ruby, "config.ru", "run ->(env) { [200, {}, ['here']] }");
}

fn a_python_app_comes_up_and_goes() {
    let text = "def application(environ, start_response):\n    return []\n";
    comes_up_and_goes(AppKind::Python, "passenger_wsgi.py", text);
}

fn a_node_app_comes_up_and_goes() {
    let text = "require('http').createServer((q, r) => r.end('here')).listen(3000);";
    comes_up_and_goes(AppKind::Node, "app.js", text);
}

fn an_app_that_fails_reports_it() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let spec = app(&daemon, AppKind::Python, "passenger_wsgi.py", "import no_such_module\n");
    let (record, report) = daemon.spawn_reported(spec);
    assert!(report.starts_with("loading\nerror "), "{report}");
    assert!(report.contains("no_such_module"), "{report}");
    assert_eq!(daemon.exited(record.process), "exited with status 1");
}
