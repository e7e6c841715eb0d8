//! The end of `passenger start`: whatever ends it, no process and no file is left.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;
use test_support::{
    App, Connection, StartedApp, TestDir, eventually, is_alive, kill_9, passenger, passenger_output, signal,
};

use crate::passenger_start::{of_ordinary_user, versioned};

/// An app whose request hangs, and which has moved a process to the background.
fn unwilling(test_dir: &TestDir) -> App {
    let source = "Process.detach(fork { Process.setsid; trap('TERM') {}; sleep })\nrun ->(_) { sleep }";
    of_ordinary_user(test_dir.app("shop").ruby(source))
}

fn started_processes(started: &StartedApp) -> Vec<u32> {
    eventually("the app is ready", || started.shown().contains(" is ready, after "));
    let processes = started.processes();
    assert!(processes.len() >= 4, "daemon, router, gate and app: {processes:?}");
    processes
}

/// The names in the runtime directory.
fn runtime_files(test_dir: &TestDir) -> Vec<String> {
    let entries = std::fs::read_dir(test_dir.path("registry")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn ctrl_c_leaves_no_process_and_no_file() {
    for which in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        let test_dir = TestDir::new();
        let app = unwilling(&test_dir);
        let mut started = StartedApp::start(&test_dir, app.dir(), &[]);
        let processes = started_processes(&started);
        let mut hanging = Connection::to(started.port());
        hanging.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        started.signal_group(which);
        assert_eq!(started.wait().code(), Some(0), "{which}: {}", started.shown());
        assert!(!processes.into_iter().any(is_alive), "{which}");
        assert_eq!(test_dir.processes(), [0; 0], "{which}");
        assert_eq!(runtime_files(&test_dir), [""; 0], "{which}");
        assert!(started.shown().ends_with("passenger: stopping\n"), "{}", started.shown());
    }
}

#[test]
fn a_killed_command_leaves_no_process_and_the_next_one_starts() {
    let test_dir = TestDir::new();
    let app = of_ordinary_user(test_dir.app("shop").ruby("run ->(_) { sleep }"));
    let mut started = StartedApp::start(&test_dir, app.dir(), &[]);
    let processes = started_processes(&started);
    let mut hanging = Connection::to(started.port());
    hanging.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    kill_9(started.pid());
    started.wait();
    eventually("all processes have exited", || !processes.iter().any(|pid| is_alive(*pid)));
    assert_eq!(test_dir.processes(), [0; 0]);
    app.write("config.ru", "run ->(_) { [200, {}, ['again']] }");
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(started.get("/").expect(200).text(), "again");
}

#[test]
fn a_closed_terminal_ends_everything() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    // script(1) gives the command a terminal, which is closed when script is killed.
    let start = passenger(&test_dir, app.dir(), &["start", "--port=0"]);
    let words = std::iter::once(start.get_program()).chain(start.get_args());
    let line: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &line.join(" "), "/dev/null"]).current_dir(app.dir());
    script.envs(start.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut terminal = StartedApp::of(as_ordinary_user(&mut script));
    let processes = started_processes(&terminal);
    kill_9(terminal.pid());
    terminal.wait();
    eventually("all processes have exited", || !processes.iter().any(|pid| is_alive(*pid)));
    eventually("the runtime directory is removed", || runtime_files(&test_dir).is_empty());
}

/// The command, as the user who runs the apps.
fn as_ordinary_user(command: &mut Command) -> &mut Command {
    if test_support::is_root() {
        let user = nix::unistd::User::from_name(test_support::ORDINARY_USER).unwrap().unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

#[test]
fn the_end_of_a_server_is_an_error() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    for which in ["daemon", "gate"] {
        let mut started = StartedApp::start(&test_dir, app.dir(), &[]);
        let processes = started_processes(&started);
        let name = if which == "daemon" { "flying-passenger\0" } else { "flying-passenger-gate\0" };
        let is_server = |pid: &&u32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(name))
        };
        kill_9(*processes.iter().find(is_server).expect(which));
        assert_eq!(started.wait().code(), Some(1), "{}", started.shown());
        eventually("the reason is shown", || {
            started.shown().contains(&format!("passenger: the private {which} has ended: "))
        });
        eventually("all processes have exited", || !processes.iter().any(|pid| is_alive(*pid)));
    }
}

#[test]
fn nothing_is_written_outside_of_the_runtime_directory() {
    let test_dir = TestDir::new();
    let source =
        "module.exports = 1; require('http').createServer((_, response) => response.end('ok')).listen(3000);";
    let app = of_ordinary_user(test_dir.app("shop").node(source));
    let list = |dir: &std::path::Path| {
        let listed = Command::new("find").arg(dir).output().unwrap();
        let mut lines: Vec<_> =
            String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let before = list(app.dir());
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    started.get("/").expect(200);
    let pid_file = test_dir.path("registry/shop.pid");
    drop(started);
    assert_eq!(list(app.dir()), before);
    assert_eq!(list(&test_dir.path("home")).len(), 1, "the home directory is empty");

    let mut started = StartedApp::start(&test_dir, app.dir(), &["--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), format!("{}\n", started.pid()));
    signal(started.pid(), Signal::SIGTERM);
    started.wait();
    assert_eq!(runtime_files(&test_dir), [""; 0], "the PID file is removed, too");
}

#[test]
fn the_background_process_outlives_the_terminal_and_can_be_stopped() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let (status, shown) = passenger_output(&test_dir, app.dir(), &["start", "--daemonize", "--port=0"]);
    assert_eq!(status, Some(0), "{shown}");
    let (status, state) = passenger_output(&test_dir, app.dir(), &["status"]);
    assert!(status == Some(0) && state.contains("http://127.0.0.1:") && state.contains(", log "), "{state}");
    let port = shown.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap();
    assert_eq!(test_support::Request::get("/").send_to(port.parse().unwrap()).text(), "version 1");
    let log = shown.split("log ").nth(1).unwrap().split(',').next().unwrap();
    eventually("the log names the process", || {
        std::fs::read_to_string(log).is_ok_and(|text| text.contains(" is ready, after "))
    });
    let (status, shown) = passenger_output(&test_dir, app.dir(), &["stop"]);
    assert_eq!((status, shown), (Some(0), format!("Stopped {}\n", app.dir().display())));
    eventually("all processes have exited", || test_dir.processes().is_empty());

    let (status, shown) =
        passenger_output(&test_dir, app.dir(), &["start", "-d", "--port=0", "--startup-file=missing.py"]);
    assert!(status == Some(1) && shown.contains("missing.py does not exist"), "{shown}");
}
