//! Upgrade in place: after SIGUSR2 the new program serves with the same app processes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use stage::{
    Connection, Daemon, DaemonBuilder, Language, Load, ONE_APP, Request, Scene, Stage, binary, eventually,
    for_each_language, is_alive,
};

use crate::hooks::hook;

/// Where the daemon's program is: a test may put another there.
fn place(stage: &Stage) -> PathBuf {
    stage.path("bin/flying-passenger")
}

/// Puts a file there as package managers do. It is another process that writes it: a child of this one, started by another
/// test meanwhile, would hold it open for writing for a moment, and nobody could run it.
fn install(stage: &Stage, from: &Path) {
    let new = place(stage).with_extension("new");
    fs::create_dir_all(new.parent().unwrap()).unwrap();
    let copied = Command::new("install").args(["-m", "755"]).arg(from).arg(&new).status();
    assert!(copied.is_ok_and(|status| status.success()));
    fs::rename(new, place(stage)).unwrap();
}

fn install_release(stage: &Stage) {
    install(stage, &binary("flying-passenger"));
}

fn install_script(stage: &Stage, content: &str) {
    let script = stage.path("script");
    fs::write(&script, content).unwrap();
    install(stage, &script);
}

/// A scene whose daemon is of a file of its own.
fn scene(lines: &str, language: Language, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Scene {
    let stage = Stage::new();
    install_release(&stage);
    let app = stage.app("app").standard(language);
    let daemon = flags(stage.daemon().binary(place(&stage))).start();
    let lines = format!("{} {lines}", language.directives());
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", &lines)).start();
    Scene { nginx, daemon, app, stage }
}

fn takeovers(daemon: &Daemon) -> usize {
    daemon.log().matches("takes over from").count()
}

/// Has the program that is there now take over, and waits until it serves.
#[track_caller]
fn upgrade(scene: &Scene) {
    let (before, router) = (takeovers(&scene.daemon), scene.daemon.router());
    scene.daemon.signal(Signal::SIGUSR2);
    eventually("another program has taken over", || takeovers(&scene.daemon) > before);
    eventually("with a router of its own", || scene.daemon.router() != router);
}

/// Whether the file of the program that runs is the one that is there.
fn runs_what_is_there(scene: &Scene) -> bool {
    let inode = |path: PathBuf| fs::metadata(path).map(|found| found.ino()).ok();
    inode(format!("/proc/{}/exe", scene.daemon.pid()).into()) == inode(place(&scene.stage))
}

for_each_language! {
    fn loses_neither_a_process_nor_a_request_when_the_daemon_is_upgraded(language) {
        let scene = scene("passenger_min_instances 2; passenger_max_instances 2;", language, |daemon| daemon);
        scene.app_pid();
        let is_ready = |pid: &u32| scene.daemon.log().contains(&format!("process {pid} is ready"));
        eventually("two processes serve", || {
            let pids = scene.daemon.app_pids();
            pids.len() == 2 && pids.iter().all(is_ready)
        });
        let (daemon, apps) = (scene.daemon.pid(), scene.daemon.app_pids());
        let load = Load::on(scene.nginx.port(), "/pid", 4);
        for _ in 0..3 {
            load.let_pass(20);
            install_release(&scene.stage);
            assert!(!runs_what_is_there(&scene));
            upgrade(&scene);
            assert!(runs_what_is_there(&scene));
        }
        load.let_pass(20);
        let report = load.finish();
        assert!(report.failures.is_empty(), "{report:?}");
        assert_eq!((scene.daemon.pid(), scene.daemon.app_pids()), (daemon, apps.clone()));

        // They are this daemon's as before: one that ends is replaced, all end with it.
        stage::kill_9(apps[0]);
        eventually("another takes its place", || {
            let now = scene.daemon.app_pids();
            now.len() == 2 && !now.contains(&apps[0])
        });
        assert!(is_alive(apps[1]));
    }
}

/// nginx repeats no POST: a connection that it keeps must not be closed in the moment in which it writes.
#[test]
fn no_post_is_lost() {
    let lines = "passenger_min_instances 2; passenger_max_instances 2;";
    let scene = scene(lines, Language::Ruby, |daemon| daemon);
    scene.app_pid();
    let load = Load::of(scene.nginx.port(), &Request::post("/echo", "kept"), 8);
    for _ in 0..10 {
        load.let_pass(100);
        upgrade(&scene);
    }
    load.let_pass(20);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{report:?}");
}

#[test]
fn a_request_under_way_is_finished_and_those_that_come_meanwhile_wait() {
    let scene = scene("", Language::Python, |daemon| daemon);
    let app = scene.app_pid();
    let mut busy = ask(&scene, "/wait?name=gate");
    eventually("it is at work", || scene.daemon.status().contains("Sessions: 1 "));
    scene.daemon.signal(Signal::SIGUSR2);
    scene.daemon.logs_eventually("another router takes over: 1 requests in progress");
    let mut next = ask(&scene, "/pid");
    assert_eq!(takeovers(&scene.daemon), 0);
    scene.stage.open_gate("gate");
    busy.read_response().expect(200);
    assert_eq!(next.read_response().expect(200).text().trim(), app.to_string());
    assert_eq!(takeovers(&scene.daemon), 1);
}

#[test]
fn a_request_that_does_not_end_holds_the_upgrade_up_for_a_while_only() {
    let scene = scene("", Language::Node, |daemon| daemon.flag("--shutdown-timeout=1"));
    let app = scene.app_pid();
    // A GET would be repeated, and wait again.
    let mut stuck = scene.nginx.connect();
    stuck.send(Request::post("/wait?name=never", "once").bytes("close"));
    eventually("it is at work", || scene.daemon.status().contains("Sessions: 1 "));
    upgrade(&scene);
    assert_eq!(scene.app_pid(), app);
    assert_eq!(stuck.read_response().status(), 502, "it is cut");
    assert!(scene.daemon.log().contains("1 requests did not finish within 1 s"));
}

#[test]
fn what_is_outside_of_processes_stays_too() {
    let scene = scene("", Language::Ruby, |daemon| daemon);
    let app = scene.app_pid();
    let root = scene.app.dir().display().to_string();
    scene.daemon.tool("passenger-config", &["pause-app", &root]);
    let listed = |what: &str| {
        let output = scene.daemon.tool("passenger-config", &["list-instances", "--json"]);
        let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        all[0][what].clone()
    };
    let before = (listed("name"), listed("started_ms"), fs::metadata(scene.stage.socket()).unwrap().ino());
    upgrade(&scene);
    let after = (listed("name"), listed("started_ms"), fs::metadata(scene.stage.socket()).unwrap().ino());
    assert_eq!(after, before);
    assert!(scene.daemon.status().contains("  (paused: requests wait)\n"));
    let mut waiting = ask(&scene, "/pid");
    scene.daemon.tool("passenger-config", &["resume-app", &root]);
    assert_eq!(waiting.read_response().expect(200).text().trim(), app.to_string());

    // What it does for good, it still does: the socket is looked after.
    fs::remove_file(scene.stage.socket()).unwrap();
    scene.daemon.logs_eventually("was removed and is created again");
    assert_eq!(scene.app_pid(), app);
}

fn ask(scene: &Scene, path: &str) -> Connection {
    let mut client = scene.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

#[test]
fn a_pid_file_and_a_log_of_its_own_are_handed_over() {
    let stage = Stage::new();
    install_release(&stage);
    let (pid_file, log) = (stage.path("daemon.pid"), stage.path("own.log"));
    let flags = [format!("--pid-file={}", pid_file.display()), format!("--log-file={}", log.display())];
    let builder =
        || flags.iter().fold(stage.daemon().binary(place(&stage)), |daemon, flag| daemon.flag(flag));
    let mut daemon = builder().start();
    daemon.signal(Signal::SIGUSR2);
    eventually("another program has taken over", || takeovers(&daemon) == 1);
    assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), daemon.pid().to_string());
    let refused = stage.daemon().flag(&flags[0]).output();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains(&format!("belongs to a running daemon with PID {}", daemon.pid())), "{told}");

    fs::rename(&log, log.with_extension("1")).unwrap();
    daemon.signal(Signal::SIGUSR1);
    eventually("the log is opened anew", || log.exists());
    daemon.stop();
    assert!(!pid_file.exists() && !stage.socket().exists(), "its end is as orderly as any");
}

#[test]
fn a_service_managers_socket_is_not_taken_twice() {
    let stage = Stage::new();
    install_release(&stage);
    let app = stage.app("app").standard(Language::Python);
    let daemon = stage.daemon().binary(place(&stage)).activated(stage.socket()).start();
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", Language::Python.directives())).start();
    let scene = Scene { nginx, daemon, app, stage };
    let app = scene.app_pid();
    for _ in 0..2 {
        upgrade(&scene);
        assert_eq!(scene.app_pid(), app);
    }
}

#[test]
fn what_cannot_take_over_changes_nothing() {
    let scene = scene("", Language::Ruby, |daemon| daemon);
    let (app, router) = (scene.app_pid(), scene.daemon.router());
    let gone = format!("#!/bin/sh\nrm {}\n", place(&scene.stage).display());
    for (content, why) in [
        ("#!/bin/sh\necho broken >&2; exit 3\n", "cannot take over: exit status: 3: broken"),
        ("no program at all", "upgrade refused: "),
        ("#!/bin/sh\nexec sleep 600\n", "has not answered within 5 s"),
    ] {
        install_script(&scene.stage, content);
        scene.daemon.signal(Signal::SIGUSR2);
        scene.daemon.logs_eventually(why);
        assert_eq!((scene.app_pid(), scene.daemon.router()), (app, router), "{why}");
    }
    // It would, and then it is not there: requests have waited already.
    install_script(&scene.stage, &gone);
    scene.daemon.signal(Signal::SIGUSR2);
    scene.daemon.logs_eventually("the upgrade failed, and this program continues: No such file or directory");
    assert_eq!(scene.app_pid(), app);
    // And a good one still can.
    install_release(&scene.stage);
    upgrade(&scene);
    assert_eq!(scene.app_pid(), app);
}

#[test]
fn the_programs_of_hooks_hold_it_up_for_a_while_only() {
    let gate = |daemon: DaemonBuilder| {
        let gate = PathBuf::from("/nowhere/that/opens");
        hook(daemon.variable("GATE", gate), "attached_process", &["gate.sh"])
    };
    let scene = scene("", Language::Python, gate);
    let app = scene.app_pid();
    scene.daemon.logs_eventually("hook attached_process waits");
    upgrade(&scene);
    assert!(scene.daemon.log().contains("killing 1 hook programs, as requests wait for the upgrade"));
    assert_eq!(scene.app_pid(), app);
}

#[test]
fn an_end_that_comes_when_the_router_has_gone_serves_until_its_programs_have_ended() {
    let gate = |daemon: DaemonBuilder| {
        let gate = PathBuf::from("/nowhere/that/opens");
        let daemon = hook(daemon.variable("GATE", gate), "attached_process", &["gate.sh"]);
        hook(daemon, "before_watchdog_shutdown", &["gate.sh"])
    };
    let mut scene = scene("", Language::Python, gate);
    let app = scene.app_pid();
    scene.daemon.logs_eventually("hook attached_process waits");
    let router = scene.daemon.router();
    scene.daemon.signal(Signal::SIGUSR2);
    eventually("the router has gone", || !is_alive(router));
    scene.daemon.signal(Signal::SIGTERM);
    assert_eq!(scene.app_pid(), app, "another router serves meanwhile");
    scene.daemon.logs_eventually("hook before_watchdog_shutdown waits");
    scene.daemon.signal(Signal::SIGTERM);
    scene.daemon.await_end();
}

#[test]
fn a_configuration_that_only_a_restart_can_follow_keeps_the_program() {
    let stage = Stage::new();
    install_release(&stage);
    let daemon = stage.daemon().binary(place(&stage)).configured("drain_timeout = 100\n").start();
    let file = stage.path("daemon.toml");
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(from, to)).unwrap();
        daemon.signal(Signal::SIGUSR2);
    };
    change("drain_timeout = 100", "drain_timeout = 200");
    daemon.logs_eventually("drain_timeout has changed, which takes effect when the daemon is restarted");
    change("drain_timeout = 200", "drain_timeout = \"x\"");
    daemon.logs_eventually("upgrade refused: the configuration is invalid: ");
    assert_eq!(takeovers(&daemon), 0);
    change("drain_timeout = \"x\"", "drain_timeout = 100\nmax_pool_size = 9");
    eventually("another program has taken over", || takeovers(&daemon) == 1);
    eventually("it has read the rest anew", || daemon.status().contains("Max pool size : 9\n"));
}

#[test]
fn the_end_may_come_amid_an_upgrade() {
    let mut scene = scene("", Language::Python, |daemon| daemon);
    scene.app_pid();
    let mut busy = ask(&scene, "/wait?name=gate");
    eventually("it is at work", || scene.daemon.status().contains("Sessions: 1 "));
    scene.daemon.signal(Signal::SIGUSR2);
    scene.daemon.logs_eventually("another router takes over");
    scene.daemon.signal(Signal::SIGTERM);
    scene.daemon.logs_eventually("received SIGTERM");
    scene.stage.open_gate("gate");
    busy.read_response().expect(200);
    assert!(scene.daemon.await_end().success());
    assert_eq!(takeovers(&scene.daemon), 0);
}
