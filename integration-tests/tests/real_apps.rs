//! Complete applications in use: a client logs in, uploads and downloads during rolling restarts.

use std::collections::BTreeSet;

use test_support::{App, Browser, Load, OneApp, Request, eventually_some, is_root};

/// More than fits into any single buffer, with every byte value.
pub(crate) fn upload() -> Vec<u8> {
    (0..300_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// An app with two processes.
pub(crate) fn two_processes_of(lines: &str, fill: impl FnOnce(App) -> App) -> OneApp {
    let fill = |app| {
        let app = fill(app);
        if is_root() { app.owned_by("games") } else { app }
    };
    let lines = format!("passenger_min_instances 2; {lines}");
    OneApp::custom(&lines, |daemon| daemon.flag("--max-pool-size=2"), fill)
}

/// The PIDs of both.
#[track_caller]
pub(crate) fn both(setup: &OneApp) -> BTreeSet<u32> {
    eventually_some("two processes serve", || {
        let pids: BTreeSet<u32> = setup.daemon.app_pids().into_iter().collect();
        (pids.len() == 2).then_some(pids)
    })
}

/// Restarts the app, one process after the other, while a user who is logged in keeps requesting `page`, which others
/// are not shown.
#[track_caller]
pub(crate) fn restarts_while_used(setup: &OneApp, browser: &Browser, page: &str) {
    assert_ne!(setup.nginx.get(page).status(), 200, "a page for those who are logged in");
    restarts_under_load(setup, &browser.with_cookies(Request::get(page)));
}

/// Restarts the app, one process after the other, while `request` is made again and again. Returns how often.
#[track_caller]
pub(crate) fn restarts_under_load(setup: &OneApp, request: &Request) -> usize {
    let before = both(setup);
    let load = Load::of(setup.nginx.port(), request, 3);
    load.let_pass(20);
    let dir = setup.app.dir().to_str().unwrap();
    let args = ["restart-app", dir, "--rolling-restart", "--wait", "--timeout=300"];
    let output = setup.daemon.tool("passenger-config", &args);
    assert!(output.status.success(), "{output:?}");
    load.let_pass(20);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    assert!(both(setup).is_disjoint(&before), "every process is new");
    report.answered
}
