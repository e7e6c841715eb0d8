//! Reloads and crashes of nginx under load: reloads lose no request, a killed worker only its connections.

use stage::{Heavy, Language, Load, Memory, Scene, eventually, kill_9};

/// What the master may grow by between the twentieth and the hundredth reload, in KiB: allocators keep some.
const MORE_KIB: u64 = 1024;

#[test]
fn a_hundred_reloads_lose_no_request_and_leak_nothing() {
    let _turn = Heavy::turn();
    let scene = Scene::of(Language::Python);
    let pid = scene.app_pid();
    let master = scene.nginx.master();
    let load = Load::on(scene.nginx.port(), "/", 4);
    let mut early = 0;
    for reload in 1..=100 {
        scene.nginx.reload();
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
    assert_eq!((scene.nginx.master(), scene.app_pid()), (master, pid));
}

#[test]
fn fifty_killed_workers_cost_their_connections_only() {
    let _turn = Heavy::turn();
    let scene = Scene::of(Language::Python);
    // The master laments each of them.
    scene.stage.expect_log_line("exited on signal 9");
    let pid = scene.app_pid();
    let (master, router) = (scene.nginx.master(), scene.daemon.router());
    let load = Load::on(scene.nginx.port(), "/", 4);
    for _ in 0..50 {
        load.let_pass(5);
        let before = scene.nginx.workers();
        kill_9(before[0]);
        eventually("the master has replaced it", || {
            let now = scene.nginx.workers();
            now.len() == before.len() && !now.contains(&before[0])
        });
    }
    load.let_pass(50);
    let report = load.finish();
    let wrong: Vec<_> = report.failures.iter().filter(|failure| failure.starts_with("status")).collect();
    assert!(wrong.is_empty(), "a worker's death is no answer: {wrong:#?}");
    assert_eq!((scene.nginx.master(), scene.daemon.router(), scene.app_pid()), (master, router, pid));
    let status = scene.daemon.status();
    eventually("no session is left behind", || scene.daemon.status().contains("Sessions: 0"));
    assert!(status.contains("Requests in queue: 0"), "{status}");
}
