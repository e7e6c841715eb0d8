//! Reloads and crashes of nginx under load: reloads lose no request, a killed worker only its connections.

use test_support::{Exclusive, Language, Load, Memory, OneApp, eventually, kill_9};

/// What the master may grow by between the twentieth and the hundredth reload, in KiB: allocators keep some.
const MORE_KIB: u64 = 1024;

#[test]
fn a_hundred_reloads_lose_no_request_and_leak_nothing() {
    let _exclusive = Exclusive::lock();
    let setup = OneApp::of(Language::Python);
    let pid = setup.app_pid();
    let master = setup.nginx.master();
    let load = Load::on(setup.nginx.port(), "/", 4);
    let mut early = 0;
    for reload in 1..=100 {
        setup.nginx.reload();
        load.let_pass(5);
        if reload == 20 {
            early = Memory::resident_kib(master);
        }
    }
    let late = Memory::resident_kib(master);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(report.answered >= 500, "{}", report.answered);
    assert!(late <= early + MORE_KIB, "the master grew from {early} to {late} KiB");
    assert_eq!((setup.nginx.master(), setup.app_pid()), (master, pid));
}

#[test]
fn fifty_killed_workers_cost_their_connections_only() {
    let _exclusive = Exclusive::lock();
    let setup = OneApp::of(Language::Python);
    // The master laments each of them.
    setup.test_dir.expect_log_line("exited on signal 9");
    let pid = setup.app_pid();
    let (master, router) = (setup.nginx.master(), setup.daemon.router());
    let load = Load::on(setup.nginx.port(), "/", 4);
    for _ in 0..50 {
        load.let_pass(5);
        let before = setup.nginx.workers();
        kill_9(before[0]);
        eventually("the master has replaced it", || {
            let now = setup.nginx.workers();
            now.len() == before.len() && !now.contains(&before[0])
        });
    }
    load.let_pass(50);
    let report = load.finish();
    let wrong: Vec<_> = report.failures.iter().filter(|failure| failure.starts_with("status")).collect();
    assert!(wrong.is_empty(), "a worker's death is no answer: {wrong:#?}");
    assert_eq!((setup.nginx.master(), setup.daemon.router(), setup.app_pid()), (master, router, pid));
    let status = setup.daemon.status();
    eventually("no session is left behind", || setup.daemon.status().contains("Sessions: 0"));
    assert!(status.contains("Requests in queue: 0"), "{status}");
}
