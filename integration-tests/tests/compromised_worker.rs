//! A compromised nginx worker: settings that it forges are dropped with its connection.

use protocol::roster::{Entry, Roster};
use test_support::{FrameClient, Language, Memory, OneApp, TestDir, eventually};

const FAR_FUTURE: u64 = 1 << 62;

/// An app, with another startup file that no configuration names.
fn setup() -> OneApp {
    let setup = OneApp::app("", |app| {
        app.ruby("run ->(env) { [200, {}, ['real']] }")
            .file("forged.ru", "run ->(env) { [200, {}, ['forged']] }")
    });
    assert_eq!(answer(&setup), "real");
    setup
}

fn answer(setup: &OneApp) -> String {
    setup.nginx.get("/").expect(200).text()
}

/// Has another startup file replace the one of nginx's configuration, as long as the connection lives.
fn take_over(setup: &OneApp, configured_ms: u64) -> FrameClient {
    let mut worker = FrameClient::connect(&setup.test_dir.socket()).setting("startup_file", "forged.ru");
    worker.send_globals(configured_ms);
    worker.get(setup.app.dir(), Language::Ruby, "/");
    eventually("a worker of nginx can do that", || answer(setup) == "forged");
    worker
}

#[test]
fn forged_settings_end_with_the_workers_connection() {
    let setup = setup();
    drop(take_over(&setup, FAR_FUTURE));
    eventually("nginx's configuration applies", || answer(&setup) == "real");
    setup.daemon.logs_eventually("read in the future");
    let warnings = setup.daemon.log().matches("read in the future").count();
    drop(take_over(&setup, FAR_FUTURE + 1));
    assert_eq!(setup.daemon.log().matches("read in the future").count(), warnings, "once a minute");
}

#[test]
fn forged_settings_end_with_a_reload() {
    let setup = setup();
    let _connected = take_over(&setup, FAR_FUTURE);
    setup.nginx.reload();
    eventually("nginx's configuration applies", || answer(&setup) == "real");
}

#[test]
fn forged_settings_end_with_nginx() {
    let mut setup = setup();
    let _connected = take_over(&setup, FAR_FUTURE);
    setup.nginx.stop();
    setup.nginx.start_again();
    eventually("nginx's configuration applies", || answer(&setup) == "real");
}

#[test]
fn forged_settings_end_with_the_router() {
    let setup = setup();
    let _connected = take_over(&setup, FAR_FUTURE);
    setup.daemon.kill_router();
    eventually("nginx's configuration applies", || answer(&setup) == "real");
}

#[test]
fn forged_settings_end_with_restart_app() {
    let setup = setup();
    drop(take_over(&setup, FAR_FUTURE));
    assert!(setup.daemon.tool("passenger-config", &["restart-app", "/"]).status.success());
    eventually("nginx's configuration applies", || answer(&setup) == "real");
}

#[test]
fn a_forged_roster_removes_apps_only_while_it_is_connected() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().start();
    let group = format!("{} (production)", app.dir().display());
    let entries = vec![Entry { group: group.as_bytes(), start: None }];
    let roster = Roster { instance: b"/etc/nginx.conf", master: 1, is_complete: true, entries };
    let mut real = FrameClient::of_instance(&test_dir.socket(), "a");
    real.send_globals(1);
    real.send_roster(roster.clone());
    real.get(app.dir(), Language::Ruby, "/");

    let mut forged = FrameClient::of_instance(&test_dir.socket(), "a");
    forged.send_globals(FAR_FUTURE);
    forged.send_roster(Roster { entries: Vec::new(), ..roster });
    daemon.logs_eventually("no longer in nginx's configuration");
    drop(forged);
    let mut pid = || real.get(app.dir(), Language::Ruby, "/pid").text();
    eventually("its processes stay", || pid() == pid());
}

/// Names of apps without requests, which only one nginx after another names.
#[test]
fn endless_rosters_do_not_grow_the_router() {
    const MOST_KIB: u64 = 24 * 1024;
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().start();
    FrameClient::connect(&test_dir.socket()).get(app.dir(), Language::Ruby, "/");
    let announce = |number: usize| {
        let names: Vec<_> = (0..4000).map(|app| format!("{number} {app} {}", "x".repeat(180))).collect();
        let entries = names.iter().map(|name| Entry { group: name.as_bytes(), start: None }).collect();
        let mut forged = FrameClient::of_instance(&test_dir.socket(), &format!("nginx {number}"));
        forged.send_globals(1);
        let instance = format!("/etc/{number}.conf");
        forged.send_roster(Roster { instance: instance.as_bytes(), master: 1, is_complete: true, entries });
        forged.get(app.dir(), Language::Ruby, "/");
    };
    // What the allocator keeps after the first ones is its own.
    (0..5).for_each(announce);
    let before = Memory::resident_kib(daemon.router());
    (5..65).for_each(announce);
    let grown = Memory::resident_kib(daemon.router()).saturating_sub(before);
    assert!(grown < MOST_KIB, "the router has grown by {grown} KiB");
}

#[test]
fn concurrent_rosters_are_bounded_in_length() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().start();
    let mut worker = FrameClient::connect(&test_dir.socket());
    worker.get(app.dir(), Language::Ruby, "/");
    let before = Memory::resident_kib(daemon.router());
    let name = "x".repeat(100_000);
    let mut open = Vec::new();
    for number in 0..30 {
        let names: Vec<_> = (0..20).map(|app| format!("{number} {app} {name}")).collect();
        let entries = names.iter().map(|name| Entry { group: name.as_bytes(), start: None }).collect();
        let mut forged = FrameClient::of_instance(&test_dir.socket(), &format!("nginx {number}"));
        forged.send_globals(1);
        forged.send_roster(Roster { instance: b"/etc/nginx.conf", master: 1, is_complete: true, entries });
        open.push(forged);
    }
    daemon.logs_eventually("the roster is longer than allowed");
    worker.get(app.dir(), Language::Ruby, "/");
    let grown = Memory::resident_kib(daemon.router()).saturating_sub(before);
    assert!(grown < 24 * 1024, "the router has grown by {grown} KiB");
}
