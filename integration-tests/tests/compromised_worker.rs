//! A compromised nginx worker: settings that it forges are dropped with its connection.

use protocol::roster::{Entry, Roster};
use stage::{FrameClient, Language, Memory, Scene, Stage, eventually};

const FAR_FUTURE: u64 = 1 << 62;

/// An app, with another startup file that no configuration names.
fn scene() -> Scene {
    let scene = Scene::app("", |app| {
        app.ruby("run ->(env) { [200, {}, ['real']] }")
            .file("forged.ru", "run ->(env) { [200, {}, ['forged']] }")
    });
    assert_eq!(answer(&scene), "real");
    scene
}

fn answer(scene: &Scene) -> String {
    scene.nginx.get("/").expect(200).text()
}

/// Has another startup file replace the one of nginx's configuration, as long as the connection lives.
fn take_over(scene: &Scene, configured_ms: u64) -> FrameClient {
    let mut worker = FrameClient::connect(&scene.stage.socket()).setting("startup_file", "forged.ru");
    worker.say_globals(configured_ms);
    worker.get(scene.app.dir(), Language::Ruby, "/");
    eventually("a worker of nginx can do that", || answer(scene) == "forged");
    worker
}

#[test]
fn what_a_compromised_worker_said_ends_with_its_connection() {
    let scene = scene();
    drop(take_over(&scene, FAR_FUTURE));
    eventually("nginx's configuration counts", || answer(&scene) == "real");
    scene.daemon.logs_eventually("read in the future");
    let warnings = scene.daemon.log().matches("read in the future").count();
    drop(take_over(&scene, FAR_FUTURE + 1));
    assert_eq!(scene.daemon.log().matches("read in the future").count(), warnings, "once a minute");
}

#[test]
fn what_a_compromised_worker_said_ends_with_a_reload() {
    let scene = scene();
    let _connected = take_over(&scene, FAR_FUTURE);
    scene.nginx.reload();
    eventually("nginx's configuration counts", || answer(&scene) == "real");
}

#[test]
fn what_a_compromised_worker_said_ends_with_nginx() {
    let mut scene = scene();
    let _connected = take_over(&scene, FAR_FUTURE);
    scene.nginx.stop();
    scene.nginx.start_again();
    eventually("nginx's configuration counts", || answer(&scene) == "real");
}

#[test]
fn what_a_compromised_worker_said_ends_with_the_router() {
    let scene = scene();
    let _connected = take_over(&scene, FAR_FUTURE);
    scene.daemon.kill_router();
    eventually("nginx's configuration counts", || answer(&scene) == "real");
}

#[test]
fn what_a_compromised_worker_said_ends_with_restart_app() {
    let scene = scene();
    drop(take_over(&scene, FAR_FUTURE));
    assert!(scene.daemon.tool("passenger-config", &["restart-app", "/"]).status.success());
    eventually("nginx's configuration counts", || answer(&scene) == "real");
}

#[test]
fn a_false_roster_takes_apps_away_for_no_longer_than_it_lives() {
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().start();
    let group = format!("{} (production)", app.dir().display());
    let entries = vec![Entry { group: group.as_bytes(), start: None }];
    let roster = Roster { instance: b"/etc/nginx.conf", master: 1, is_complete: true, entries };
    let mut real = FrameClient::of_instance(&stage.socket(), "a");
    real.say_globals(1);
    real.say_roster(roster.clone());
    real.get(app.dir(), Language::Ruby, "/");

    let mut forged = FrameClient::of_instance(&stage.socket(), "a");
    forged.say_globals(FAR_FUTURE);
    forged.say_roster(Roster { entries: Vec::new(), ..roster });
    daemon.logs_eventually("no longer in nginx's configuration");
    drop(forged);
    let mut pid = || real.get(app.dir(), Language::Ruby, "/pid").text();
    eventually("its processes stay", || pid() == pid());
}

/// Names of apps that nobody asks for, and that only one nginx after another names.
#[test]
fn rosters_without_end_do_not_grow_the_router() {
    const MOST_KIB: u64 = 24 * 1024;
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().start();
    FrameClient::connect(&stage.socket()).get(app.dir(), Language::Ruby, "/");
    let announce = |number: usize| {
        let names: Vec<_> = (0..4000).map(|app| format!("{number} {app} {}", "x".repeat(180))).collect();
        let entries = names.iter().map(|name| Entry { group: name.as_bytes(), start: None }).collect();
        let mut forged = FrameClient::of_instance(&stage.socket(), &format!("nginx {number}"));
        forged.say_globals(1);
        let instance = format!("/etc/{number}.conf");
        forged.say_roster(Roster { instance: instance.as_bytes(), master: 1, is_complete: true, entries });
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
fn rosters_at_the_same_time_are_bounded_in_length() {
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().start();
    let mut worker = FrameClient::connect(&stage.socket());
    worker.get(app.dir(), Language::Ruby, "/");
    let before = Memory::resident_kib(daemon.router());
    let name = "x".repeat(100_000);
    let mut open = Vec::new();
    for number in 0..30 {
        let names: Vec<_> = (0..20).map(|app| format!("{number} {app} {name}")).collect();
        let entries = names.iter().map(|name| Entry { group: name.as_bytes(), start: None }).collect();
        let mut forged = FrameClient::of_instance(&stage.socket(), &format!("nginx {number}"));
        forged.say_globals(1);
        forged.say_roster(Roster { instance: b"/etc/nginx.conf", master: 1, is_complete: true, entries });
        open.push(forged);
    }
    daemon.logs_eventually("the roster is longer than allowed");
    worker.get(app.dir(), Language::Ruby, "/");
    let grown = Memory::resident_kib(daemon.router()).saturating_sub(before);
    assert!(grown < 24 * 1024, "the router has grown by {grown} KiB");
}
