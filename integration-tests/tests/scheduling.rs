//! The scheduling policy of the router and of processes of apps, as the kernel reports it.

use std::collections::BTreeSet;

use nix::unistd::User;
use test_support::{
    DaemonBuilder, Language, ONE_APP_CONF, OneApp, TestDir, eventually, for_each_language, is_root,
    nice_value, scheduling_policies, scheduling_policy,
};

use crate::exec::{printed, tool, words};

/// Denies the system call `sched_setscheduler`, and executes the program.
const DENIED: &str = "import ctypes, os, platform, struct, sys
number = {'x86_64': 144, 'aarch64': 119}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

/// Starts a child and a thread, and answers with the policies of both.
const PARENT: &str = "import os, subprocess, threading
def of_thread(found):
    found.append(str(os.sched_getscheduler(0)))
def application(environ, start_response):
    found = []
    thread = threading.Thread(target=of_thread, args=(found,))
    thread.start()
    thread.join()
    child = 'import os; print(os.sched_getscheduler(0))'
    found.append(subprocess.run(['python3', '-c', child], capture_output=True, text=True).stdout.strip())
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [' '.join(found).encode()]
";

/// Policies of the router and of the process that answers.
fn policies(setup: &OneApp) -> [BTreeSet<&'static str>; 2] {
    let app = setup.app_pid();
    [scheduling_policies(setup.daemon.router()), scheduling_policies(app)]
}

fn only(policy: &'static str) -> BTreeSet<&'static str> {
    BTreeSet::from([policy])
}

#[track_caller]
fn has(setup: &OneApp, router: &'static str, app: &'static str) {
    assert_eq!(policies(setup), [only(router), only(app)]);
}

for_each_language! {
    fn the_router_and_processes_have_the_policy_batch(language) {
        let setup = OneApp::of(language);
        has(&setup, "batch", "batch");
        for own in setup.daemon.own_pids().into_iter().filter(|pid| *pid != setup.daemon.router()) {
            assert_eq!(scheduling_policies(own), only("other"), "supervisor, log writer and stat workers");
        }
    }
}

for_each_language! {
    fn an_app_with_other_has_the_policy_of_the_daemon(language) {
        has(&OneApp::with(language, "passenger_scheduling_policy other;", |daemon| daemon), "batch", "other");
    }
}

#[test]
fn the_flag_is_for_the_router_and_the_default_of_apps() {
    let flag = |daemon: DaemonBuilder| daemon.flag("--scheduling-policy=other");
    has(&OneApp::with(Language::Ruby, "", flag), "other", "other");
    has(&OneApp::with(Language::Ruby, "passenger_scheduling_policy batch;", flag), "other", "batch");
    let file = |daemon: DaemonBuilder| daemon.configured("scheduling_policy = \"other\"\n");
    has(&OneApp::with(Language::Ruby, "", file), "other", "other");
}

#[test]
fn a_policy_that_does_not_exist_is_refused() {
    let output = TestDir::new().daemon().flag("--scheduling-policy=idle").output();
    let sentence = "invalid value \"idle\" in \"--scheduling-policy\": must be one of \"batch\", \"other\"";
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains(sentence), "{printed}");
}

for_each_language! {
    [ruby, python]
    fn preloaders_and_their_forks_have_the_policy_of_the_app(language) {
        for policy in ["batch", "other"] {
            let lines = format!("passenger_spawn_method smart; passenger_scheduling_policy {policy};");
            let setup = OneApp::with(language, &lines, |daemon| daemon);
            has(&setup, "batch", policy);
            let status = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
            let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
            let preloader = status["groups"][0]["preloader"].as_u64().unwrap();
            assert_eq!(scheduling_policies(preloader.try_into().unwrap()), only(policy), "the preloader");
        }
    }
}

#[test]
fn a_changed_policy_replaces_processes_and_preloader() {
    let setup = OneApp::with(Language::Ruby, "passenger_spawn_method smart;", |daemon| daemon);
    has(&setup, "batch", "batch");
    let lines = "passenger_spawn_method smart; passenger_scheduling_policy other;";
    setup.nginx.configure(&ONE_APP_CONF.replace("%%APP%%", lines));
    setup.nginx.reload();
    eventually("the processes have the new policy", || policies(&setup)[1] == only("other"));
}

#[test]
fn the_next_router_has_the_policy_as_well() {
    let setup = OneApp::of(Language::Python);
    let app = setup.app_pid();
    setup.daemon.kill_router();
    eventually("the next router has the policy", || {
        scheduling_policies(setup.daemon.router()) == only("batch")
    });
    has(&setup, "batch", "batch");
    assert_eq!(setup.app_pid(), app, "the process is the same");
}

#[test]
fn a_one_off_command_keeps_the_policy_of_its_caller() {
    let setup = OneApp::of(Language::Ruby);
    has(&setup, "batch", "batch");
    let app = setup.app.dir().display().to_string();
    let stat = |tool: &mut std::process::Command| printed(tool.output().unwrap());
    let command = words(&app, &["cat", "/proc/self/stat"]);
    assert_eq!(scheduling_policy(&stat(&mut tool(&setup.daemon, &command))), "other");
}

#[test]
fn threads_and_children_of_an_app_inherit_the_policy() {
    for (lines, numbers) in [("", "3 3"), ("passenger_scheduling_policy other;", "0 0")] {
        let setup = OneApp::app(lines, |app| app.python(PARENT));
        assert_eq!(setup.nginx.get("/").expect(200).text(), numbers);
    }
}

#[test]
fn threads_that_serve_requests_have_the_policy() {
    let lines = "passenger_concurrency_model thread; passenger_thread_count 4;";
    for language in [Language::Ruby, Language::Python] {
        let setup = OneApp::with(language, lines, |daemon| daemon);
        let app = setup.app_pid();
        let threads = std::fs::read_dir(format!("/proc/{app}/task")).unwrap().count();
        assert!(threads > 1, "{threads} threads");
        has(&setup, "batch", "batch");
    }
}

#[test]
fn a_policy_that_an_administrator_chose_stays() {
    for (policy, daemons) in [("--idle", "idle"), ("--batch", "batch")] {
        let through = |daemon: DaemonBuilder| daemon.through(&["chrt", policy, "0"]);
        has(&OneApp::with(Language::Python, "", through), daemons, daemons);
        let lines = "passenger_scheduling_policy other;";
        has(&OneApp::with(Language::Python, lines, through), daemons, daemons);
    }
}

#[test]
fn nice_values_stay_as_they_are() {
    let setup = OneApp::with(Language::Python, "", |daemon| daemon.through(&["nice", "-n", "3"]));
    has(&setup, "batch", "batch");
    let nice = nice_value(setup.daemon.pid());
    assert_ne!(nice, nice_value(std::process::id()), "the daemon has its own");
    assert_eq!([setup.daemon.router(), setup.app_pid()].map(nice_value), [nice, nice]);
}

#[test]
fn a_system_call_that_is_denied_prevents_no_start() {
    let setup = OneApp::with(Language::Python, "", |daemon| daemon.through(&["python3", "-c", DENIED]));
    has(&setup, "other", "other");
    let why = "Operation not permitted (os error 1); allow the daemon the system calls sched_getscheduler and \
               sched_setscheduler, or ";
    let of_router = format!("the router starts without the scheduling policy SCHED_BATCH: {why}give");
    setup.daemon.logs_eventually(&format!("{of_router} --scheduling-policy=other"));
    let app = setup.app.dir().display();
    let of_app =
        format!("a process of {app} (production) starts without the scheduling policy SCHED_BATCH: {why}set");
    setup.daemon.logs_eventually(&format!("{of_app} passenger_scheduling_policy other"));
}

#[test]
fn a_denied_system_call_is_not_made_with_other() {
    let setup = OneApp::with(Language::Python, "", |daemon| {
        daemon.through(&["python3", "-c", DENIED]).flag("--scheduling-policy=other")
    });
    has(&setup, "other", "other");
    assert!(!setup.daemon.log().contains("SCHED_BATCH"));
}

#[test]
fn the_daemon_of_an_ordinary_user_sets_the_policy() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Python);
    let mut daemon = test_dir.daemon();
    if is_root() {
        let games = User::from_name("games").unwrap().unwrap();
        let (uid, gid) = (games.uid.as_raw(), games.gid.as_raw());
        std::os::unix::fs::chown(test_dir.dir(), Some(uid), Some(gid)).unwrap();
        daemon = daemon.as_user(uid, gid).flag("--socket-mode=0666");
    }
    let daemon = daemon.start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    has(&OneApp { nginx, daemon, app, test_dir }, "batch", "batch");
}

#[test]
fn hooks_keep_the_policy_of_the_daemon() {
    let test_dir = TestDir::new();
    let noted = test_dir.scratch("stat");
    let hook = test_dir.path("hook");
    std::fs::write(
        &hook,
        format!("#!/bin/sh\ncat /proc/self/stat > {0}.new; mv {0}.new {0}\n", noted.display()),
    )
    .unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, executable).unwrap();
    let app = test_dir.app("app").standard(Language::Python);
    let daemon = test_dir.daemon().flag(&format!("--hook=attached_process={}", hook.display())).start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    let setup = OneApp { nginx, daemon, app, test_dir };
    has(&setup, "batch", "batch");
    eventually("the hook has run", || noted.exists());
    assert_eq!(scheduling_policy(&std::fs::read_to_string(&noted).unwrap()), "other");
}
