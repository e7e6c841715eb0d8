//! A hanging router is detected and replaced; apps and the service manager are not affected.

use std::time::Duration;

use nix::sys::signal::Signal;
use stage::{Language, Load, ONE_APP, Request, Scene, Stage, eventually, is_alive, signal, stays};

use crate::service::Manager;

/// An app whose router may be silent for one second, with a service manager that watches the daemon.
fn watched(language: Language) -> (Scene, Manager) {
    let stage = Stage::new();
    let app = stage.app("app").standard(language);
    let path = stage.path("notify");
    let manager = Manager::at(&path);
    let daemon = stage.daemon().variable("NOTIFY_SOCKET", path).variable("WATCHDOG_USEC", "2000000".into());
    let daemon = daemon.start();
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", language.directives())).start();
    (Scene { nginx, daemon, app, stage }, manager)
}

#[test]
fn a_router_that_hangs_is_replaced_and_nothing_else_is() {
    let (scene, manager) = watched(Language::Ruby);
    let pid = scene.app_pid();
    let (daemon, router) = (scene.daemon.pid(), scene.daemon.router());
    signal(router, Signal::SIGSTOP);
    // Whoever comes meanwhile waits for the next router.
    let mut visitor = scene.nginx.connect();
    visitor.send(Request::get("/pid").bytes("close"));
    scene
        .daemon
        .logs_eventually(&format!("the router (PID {router}) has not answered for 1 s, and is killed"));
    assert_eq!(visitor.read_response().expect(200).text(), pid.to_string());
    assert_ne!(scene.daemon.router(), router);
    assert!(is_alive(daemon) && scene.daemon.pid() == daemon);
    assert_eq!(scene.app_pid(), pid, "the app is the same");
    manager.hears("WATCHDOG=1");
}

#[test]
fn a_router_with_much_to_do_is_not_taken_for_one_that_hangs() {
    let (scene, _manager) = watched(Language::Python);
    scene.app_pid();
    let router = scene.daemon.router();
    let load = Load::on(scene.nginx.port(), "/", 8);
    stays("the router is the same", Duration::from_secs(4), || scene.daemon.router() == router);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert!(report.answered > 100, "it had much to do");
}

#[test]
fn routers_that_hang_one_after_the_other_are_all_replaced() {
    let (scene, _manager) = watched(Language::Node);
    let pid = scene.app_pid();
    for _ in 0..3 {
        let router = scene.daemon.router();
        signal(router, Signal::SIGSTOP);
        eventually("it is gone", || !is_alive(router));
        assert_eq!(scene.app_pid(), pid);
    }
    assert_eq!(scene.daemon.log().matches("has not answered for 1 s, and is killed").count(), 3);
}
