//! A hanging router is detected and replaced; apps and the service manager are not affected.

use std::time::Duration;

use nix::sys::signal::Signal;
use test_support::{
    Language, Load, ONE_APP_CONF, OneApp, Request, TestDir, eventually, is_alive, signal, stays,
};

use crate::service::Manager;

/// An app whose router may be silent for one second, with a service manager that watches the daemon.
fn watched(language: Language) -> (OneApp, Manager) {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(language);
    let path = test_dir.path("notify");
    let manager = Manager::at(&path);
    let daemon =
        test_dir.daemon().variable("NOTIFY_SOCKET", path).variable("WATCHDOG_USEC", "2000000".into());
    let daemon = daemon.start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", language.directives())).start();
    (OneApp { nginx, daemon, app, test_dir }, manager)
}

#[test]
fn only_a_hanging_router_is_replaced() {
    let (setup, manager) = watched(Language::Ruby);
    let pid = setup.app_pid();
    let (daemon, router) = (setup.daemon.pid(), setup.daemon.router());
    signal(router, Signal::SIGSTOP);
    // Whoever comes meanwhile waits for the next router.
    let mut visitor = setup.nginx.connect();
    visitor.send(Request::get("/pid").bytes("close"));
    setup
        .daemon
        .logs_eventually(&format!("the router (PID {router}) has not answered for 1 s, and is killed"));
    assert_eq!(visitor.read_response().expect(200).text(), pid.to_string());
    assert_ne!(setup.daemon.router(), router);
    assert!(is_alive(daemon) && setup.daemon.pid() == daemon);
    assert_eq!(setup.app_pid(), pid, "the app is the same");
    manager.receives("WATCHDOG=1");
}

#[test]
fn a_busy_router_is_not_replaced() {
    let (setup, _manager) = watched(Language::Python);
    setup.app_pid();
    let router = setup.daemon.router();
    let load = Load::on(setup.nginx.port(), "/", 8);
    stays("the router is the same", Duration::from_secs(4), || setup.daemon.router() == router);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(report.answered > 100, "it had much to do");
}

#[test]
fn every_hanging_router_is_replaced() {
    let (setup, _manager) = watched(Language::Node);
    let pid = setup.app_pid();
    for _ in 0..3 {
        let router = setup.daemon.router();
        signal(router, Signal::SIGSTOP);
        eventually("it is gone", || !is_alive(router));
        assert_eq!(setup.app_pid(), pid);
    }
    assert_eq!(setup.daemon.log().matches("has not answered for 1 s, and is killed").count(), 3);
}
