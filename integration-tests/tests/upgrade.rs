//! Upgrade in place: after SIGUSR2 the new program serves with the same app processes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use test_support::{
    Connection, Daemon, DaemonBuilder, Language, Load, ONE_APP_CONF, OneApp, Request, TestDir, binary,
    eventually, for_each_language, is_alive,
};

use crate::hooks::hook;

/// Where the daemon's program is: a test may put another there.
pub(crate) fn place(test_dir: &TestDir) -> PathBuf {
    test_dir.path("bin/flying-passenger")
}

/// Puts a file there as package managers do. It is another process that writes it: a child of this one, started by another
/// test meanwhile, would hold it open for writing for a moment, and no process could execute it.
fn install(test_dir: &TestDir, from: &Path) {
    let new = place(test_dir).with_extension("new");
    fs::create_dir_all(new.parent().unwrap()).unwrap();
    let copied = Command::new("install").args(["-m", "755"]).arg(from).arg(&new).status();
    assert!(copied.is_ok_and(|status| status.success()));
    fs::rename(new, place(test_dir)).unwrap();
}

pub(crate) fn install_release(test_dir: &TestDir) {
    install(test_dir, &binary("flying-passenger"));
}

pub(crate) fn install_script(test_dir: &TestDir, content: &str) {
    let script = test_dir.path("script");
    fs::write(&script, content).unwrap();
    install(test_dir, &script);
}

/// A set-up whose daemon has a separate program file.
pub(crate) fn setup(
    lines: &str,
    language: Language,
    flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
) -> OneApp {
    let test_dir = TestDir::new();
    install_release(&test_dir);
    let app = test_dir.app("app").standard(language);
    let daemon = flags(test_dir.daemon().binary(place(&test_dir))).start();
    let lines = format!("{} {lines}", language.directives());
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    OneApp { nginx, daemon, app, test_dir }
}

fn takeovers(daemon: &Daemon) -> usize {
    daemon.log().matches("takes over from").count()
}

/// Has the program that is there now take over, and waits until it serves.
#[track_caller]
fn upgrade(setup: &OneApp) {
    let (before, router) = (takeovers(&setup.daemon), setup.daemon.router());
    setup.daemon.signal(Signal::SIGUSR2);
    eventually("another program has taken over", || takeovers(&setup.daemon) > before);
    eventually("it has its own router", || setup.daemon.router() != router);
}

/// Whether the file of the program that runs is the one that is there.
fn runs_what_is_there(setup: &OneApp) -> bool {
    let inode = |path: PathBuf| fs::metadata(path).map(|found| found.ino()).ok();
    inode(format!("/proc/{}/exe", setup.daemon.pid()).into()) == inode(place(&setup.test_dir))
}

for_each_language! {
    fn loses_neither_a_process_nor_a_request_when_the_daemon_is_upgraded(language) {
        let setup = setup("passenger_min_instances 2; passenger_max_instances 2;", language, |daemon| daemon);
        setup.app_pid();
        let is_ready = |pid: &u32| setup.daemon.log().contains(&format!("process {pid} is ready"));
        eventually("two processes serve", || {
            let pids = setup.daemon.app_pids();
            pids.len() == 2 && pids.iter().all(is_ready)
        });
        let (daemon, apps) = (setup.daemon.pid(), setup.daemon.app_pids());
        let load = Load::on(setup.nginx.port(), "/pid", 4);
        for _ in 0..3 {
            load.let_pass(20);
            install_release(&setup.test_dir);
            assert!(!runs_what_is_there(&setup));
            upgrade(&setup);
            assert!(runs_what_is_there(&setup));
        }
        load.let_pass(20);
        let report = load.finish();
        assert!(report.failures.is_empty(), "{report:?}");
        assert_eq!((setup.daemon.pid(), setup.daemon.app_pids()), (daemon, apps.clone()));

        // They are this daemon's as before: one that ends is replaced, all end with it.
        test_support::kill_9(apps[0]);
        eventually("another takes its place", || {
            let now = setup.daemon.app_pids();
            now.len() == 2 && !now.contains(&apps[0])
        });
        assert!(is_alive(apps[1]));
    }
}

/// nginx repeats no POST: a connection that it keeps must not be closed in the moment in which it writes.
#[test]
fn no_post_is_lost() {
    let lines = "passenger_min_instances 2; passenger_max_instances 2;";
    let setup = setup(lines, Language::Ruby, |daemon| daemon);
    setup.app_pid();
    let load = Load::of(setup.nginx.port(), &Request::post("/echo", "kept"), 8);
    for _ in 0..10 {
        load.let_pass(100);
        upgrade(&setup);
    }
    load.let_pass(20);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{report:?}");
}

#[test]
fn active_requests_finish_and_new_ones_wait() {
    let setup = setup("", Language::Python, |daemon| daemon);
    let app = setup.app_pid();
    let mut busy = ask(&setup, "/wait?name=gate");
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    setup.daemon.signal(Signal::SIGUSR2);
    setup.daemon.logs_eventually("another router takes over: 1 requests in progress");
    let mut next = ask(&setup, "/pid");
    assert_eq!(takeovers(&setup.daemon), 0);
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
    assert_eq!(next.read_response().expect(200).text().trim(), app.to_string());
    assert_eq!(takeovers(&setup.daemon), 1);
}

#[test]
fn a_hanging_request_delays_the_upgrade_to_a_limit() {
    let setup = setup("", Language::Node, |daemon| daemon.flag("--shutdown-timeout=1"));
    let app = setup.app_pid();
    // A GET would be repeated, and wait again.
    let mut stuck = setup.nginx.connect();
    stuck.send(Request::post("/wait?name=never", "once").bytes("close"));
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    upgrade(&setup);
    assert_eq!(setup.app_pid(), app);
    assert_eq!(stuck.read_response().status(), 502, "it is cut");
    assert!(setup.daemon.log().contains("1 requests did not finish within 1 s"));
}

#[test]
fn state_outside_of_processes_survives_the_upgrade() {
    let setup = setup("", Language::Ruby, |daemon| daemon);
    let app = setup.app_pid();
    let root = setup.app.dir().display().to_string();
    setup.daemon.tool("passenger-config", &["pause-app", &root]);
    let listed = |what: &str| {
        let output = setup.daemon.tool("passenger-config", &["list-instances", "--json"]);
        let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        all[0][what].clone()
    };
    let before = (listed("name"), listed("started_ms"), fs::metadata(setup.test_dir.socket()).unwrap().ino());
    upgrade(&setup);
    let after = (listed("name"), listed("started_ms"), fs::metadata(setup.test_dir.socket()).unwrap().ino());
    assert_eq!(after, before);
    assert!(setup.daemon.status().contains("  (paused: requests wait)\n"));
    let mut waiting = ask(&setup, "/pid");
    setup.daemon.tool("passenger-config", &["resume-app", &root]);
    assert_eq!(waiting.read_response().expect(200).text().trim(), app.to_string());

    // What it does for good, it still does: the socket is looked after.
    fs::remove_file(setup.test_dir.socket()).unwrap();
    setup.daemon.logs_eventually("was removed and is created again");
    assert_eq!(setup.app_pid(), app);
}

fn ask(setup: &OneApp, path: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

#[test]
fn a_pid_file_and_a_log_of_its_own_are_handed_over() {
    let test_dir = TestDir::new();
    install_release(&test_dir);
    let (pid_file, log) = (test_dir.path("daemon.pid"), test_dir.path("own.log"));
    let flags = [format!("--pid-file={}", pid_file.display()), format!("--log-file={}", log.display())];
    let builder =
        || flags.iter().fold(test_dir.daemon().binary(place(&test_dir)), |daemon, flag| daemon.flag(flag));
    let mut daemon = builder().start();
    daemon.signal(Signal::SIGUSR2);
    eventually("another program has taken over", || takeovers(&daemon) == 1);
    assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), daemon.pid().to_string());
    let refused = test_dir.daemon().flag(&flags[0]).output();
    let reported = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        reported.contains(&format!("belongs to a running daemon with PID {}", daemon.pid())),
        "{reported}"
    );

    fs::rename(&log, log.with_extension("1")).unwrap();
    daemon.signal(Signal::SIGUSR1);
    eventually("the log is reopened", || log.exists());
    daemon.stop();
    assert!(!pid_file.exists() && !test_dir.socket().exists(), "its end is as orderly as any");
}

#[test]
fn a_service_managers_socket_is_not_taken_twice() {
    let test_dir = TestDir::new();
    install_release(&test_dir);
    let app = test_dir.app("app").standard(Language::Python);
    let daemon = test_dir.daemon().binary(place(&test_dir)).activated(test_dir.socket()).start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", Language::Python.directives())).start();
    let setup = OneApp { nginx, daemon, app, test_dir };
    let app = setup.app_pid();
    for _ in 0..2 {
        upgrade(&setup);
        assert_eq!(setup.app_pid(), app);
    }
}

#[test]
fn a_failed_upgrade_changes_nothing() {
    let setup = setup("", Language::Ruby, |daemon| daemon);
    let (app, router) = (setup.app_pid(), setup.daemon.router());
    let gone = format!("#!/bin/sh\nrm {}\n", place(&setup.test_dir).display());
    for (content, why) in [
        ("#!/bin/sh\necho broken >&2; exit 3\n", "cannot take over: exit status: 3: broken"),
        ("no program at all", "upgrade refused: "),
        ("#!/bin/sh\nexec sleep 600\n", "has not answered within 5 s"),
    ] {
        install_script(&setup.test_dir, content);
        setup.daemon.signal(Signal::SIGUSR2);
        setup.daemon.logs_eventually(why);
        assert_eq!((setup.app_pid(), setup.daemon.router()), (app, router), "{why}");
    }
    // It would, and then it is not there: requests have waited already.
    install_script(&setup.test_dir, &gone);
    setup.daemon.signal(Signal::SIGUSR2);
    setup.daemon.logs_eventually("the upgrade failed, and this program continues: No such file or directory");
    assert_eq!(setup.app_pid(), app);
    // And a good one still can.
    install_release(&setup.test_dir);
    upgrade(&setup);
    assert_eq!(setup.app_pid(), app);
}

#[test]
fn hook_programs_delay_the_upgrade_to_a_limit() {
    let gate = |daemon: DaemonBuilder| {
        let gate = PathBuf::from("/nowhere/that/opens");
        hook(daemon.variable("GATE", gate), "attached_process", &["gate.sh"])
    };
    let setup = setup("", Language::Python, gate);
    let app = setup.app_pid();
    setup.daemon.logs_eventually("hook attached_process waits");
    upgrade(&setup);
    assert!(setup.daemon.log().contains("killing 1 hook programs, as requests wait for the upgrade"));
    assert_eq!(setup.app_pid(), app);
}

#[test]
fn a_stop_without_a_router_serves_until_its_hooks_have_ended() {
    let gate = |daemon: DaemonBuilder| {
        let gate = PathBuf::from("/nowhere/that/opens");
        let daemon = hook(daemon.variable("GATE", gate), "attached_process", &["gate.sh"]);
        hook(daemon, "before_watchdog_shutdown", &["gate.sh"])
    };
    let mut setup = setup("", Language::Python, gate);
    let app = setup.app_pid();
    setup.daemon.logs_eventually("hook attached_process waits");
    let router = setup.daemon.router();
    setup.daemon.signal(Signal::SIGUSR2);
    eventually("the router has gone", || !is_alive(router));
    setup.daemon.signal(Signal::SIGTERM);
    assert_eq!(setup.app_pid(), app, "another router serves meanwhile");
    setup.daemon.logs_eventually("hook before_watchdog_shutdown waits");
    setup.daemon.signal(Signal::SIGTERM);
    setup.daemon.await_end();
}

#[test]
fn a_configuration_that_needs_a_restart_prevents_the_upgrade() {
    let test_dir = TestDir::new();
    install_release(&test_dir);
    let daemon = test_dir.daemon().binary(place(&test_dir)).configured("drain_timeout = 100\n").start();
    let file = test_dir.path("daemon.toml");
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
    eventually("it has read the rest again", || daemon.status().contains("Max pool size : 9\n"));
}

#[test]
fn the_daemon_can_stop_during_an_upgrade() {
    let mut setup = setup("", Language::Python, |daemon| daemon);
    setup.app_pid();
    let mut busy = ask(&setup, "/wait?name=gate");
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    setup.daemon.signal(Signal::SIGUSR2);
    setup.daemon.logs_eventually("another router takes over");
    setup.daemon.signal(Signal::SIGTERM);
    setup.daemon.logs_eventually("received SIGTERM");
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
    assert!(setup.daemon.await_end().success());
    assert_eq!(takeovers(&setup.daemon), 0);
}
