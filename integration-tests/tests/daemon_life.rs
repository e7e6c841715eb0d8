//! The life of the daemon: starting, stopping, being down, being killed.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use stage::{Language, ONE_APP, Request, Scene, Stage, eventually, for_each_language, is_alive, stays};

for_each_language! {
    fn a_terminated_daemon_leaves_no_process(language) {
        let mut scene = Scene::of(language);
        let pid = scene.app_pid();
        let router = scene.daemon.router();
        let status = scene.daemon.stop();
        assert!(status.success(), "{status}");
        assert!(!is_alive(pid) && !is_alive(router), "stopping has waited for them");
        assert!(!scene.stage.socket().exists(), "its socket is gone");
        scene.stage.expect_log_line(&scene.stage.socket().display().to_string());
    }

    fn a_killed_daemon_takes_its_apps_along(language) {
        let mut scene = Scene::of(language);
        let pid = scene.app_pid();
        let supervisor = scene.daemon.pid();
        // The supervisor only: no process is notified, so the end of the owner pipe must suffice.
        stage::kill_9(supervisor);
        eventually("app and router have gone", || {
            let nginx = [scene.nginx.master(), scene.nginx.workers()[0], scene.nginx.workers()[1]];
            !is_alive(pid) && scene.stage.processes().iter().all(|pid| nginx.contains(pid) || *pid == supervisor)
        });
        scene.daemon.kill();
        scene.daemon.start_again();
        assert_ne!(scene.app_pid(), pid);
    }
}

#[test]
fn nginx_says_what_to_do_while_the_daemon_is_away() {
    let mut scene = Scene::of(Language::Ruby);
    scene.app_pid();
    scene.daemon.stop();
    let response = scene.nginx.get("/pid");
    assert_eq!(response.status(), 502);
    let socket = scene.stage.socket().display().to_string();
    scene.stage.expect_log_line(&socket);
    let log = scene.nginx.error_log();
    let advice = log.lines().find(|line| line.contains(&socket) && line.contains("flying-passenger"));
    assert!(advice.is_some(), "no line names the socket {socket} and the daemon to start:\n{log}");

    scene.daemon.start_again();
    assert_eq!(scene.nginx.get("/").expect(200).text(), "hello from ruby\n", "without touching nginx");
}

#[test]
fn nginx_starts_and_tests_its_configuration_without_a_daemon() {
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", ""));
    let test = nginx.test_config();
    assert!(test.status.success(), "{test:?}");
    let nginx = nginx.start();
    stage.expect_log_line(&stage.socket().display().to_string());
    assert_eq!(nginx.get("/").status(), 502);
    let _daemon = stage.daemon().start();
    nginx.get("/").expect(200);
}

#[test]
fn a_second_daemon_on_a_live_socket_is_refused() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    let second = scene.stage.daemon().output();
    assert!(!second.status.success(), "{second:?}");
    let said =
        String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
    assert!(said.contains(&scene.stage.socket().display().to_string()), "{said}");
    assert_eq!(scene.app_pid(), pid, "the first one is untouched");
}

#[test]
fn a_stale_socket_is_cleaned_away() {
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    drop(UnixListener::bind(stage.socket()).unwrap());
    assert!(stage.socket().exists(), "a socket nobody listens on");
    let mut daemon = stage.daemon().start();
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", "")).start();
    nginx.get("/").expect(200);
    daemon.kill();
    assert!(stage.socket().exists(), "kill -9 leaves its socket");
    daemon.start_again();
    nginx.get("/").expect(200);
}

#[test]
fn refuses_to_replace_a_file_that_is_no_socket() {
    let stage = Stage::new();
    fs::write(stage.socket(), "precious").unwrap();
    let output = stage.daemon().output();
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(stage.socket()).unwrap(), "precious");
}

#[test]
fn an_interrupted_daemon_finishes_what_it_began() {
    let mut scene = Scene::of(Language::Ruby);
    let mut client = scene.nginx.connect();
    client.send(Request::get("/wait?name=last").bytes("close"));
    eventually("a request is under way", || scene.stage.scratch("last.arrived").exists());
    let (gate, supervisor) = (scene.stage.scratch("last.go"), scene.daemon.pid());
    let opener = std::thread::spawn(move || {
        stays("the daemon waits for the request", Duration::from_millis(300), || is_alive(supervisor));
        fs::write(gate, "go").unwrap();
    });
    let status = scene.daemon.stop();
    opener.join().unwrap();
    assert!(status.success(), "{status}");
    client.read_response().expect(200);
}

#[test]
fn each_signal_that_asks_for_the_end_lets_requests_finish() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut scene = Scene::of(Language::Ruby);
        let mut client = scene.nginx.connect();
        client.send(Request::get("/wait?name=last").bytes("close"));
        eventually("a request is under way", || scene.stage.scratch("last.arrived").exists());
        scene.daemon.signal(signal);
        scene.daemon.logs_eventually(&format!("received {}", signal.as_str()));
        scene.stage.open_gate("last");
        client.read_response().expect(200);
        let status = scene.daemon.await_end();
        assert!(status.success(), "{signal}: {status}");
        scene.stage.expect_log_line(&scene.stage.socket().display().to_string());
    }
}

#[test]
fn help_and_version_are_told() {
    use std::process::Command;
    for name in ["flying-passenger", "passenger-status", "passenger-config", "passenger-memory-stats"] {
        let help = Command::new(stage::binary(name)).arg("--help").output().unwrap();
        assert!(help.status.success() && !help.stdout.is_empty(), "{name} --help: {help:?}");
    }
    let help = Command::new(stage::binary("flying-passenger")).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in ["--socket-file", "--max-pool-size", "--pool-idle-time", "--log-level", "--version"] {
        assert!(text.contains(flag), "{flag} is missing in {text}");
    }
    let version = Command::new(stage::binary("flying-passenger")).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{version:?}");
}

#[test]
fn rejects_mistakes_in_its_flags() {
    use std::process::Command;
    for flags in [&["--max-pool-size=0"][..], &["--socket-file=/x", "--no-such-flag"], &[]] {
        let output = Command::new(stage::binary("flying-passenger")).args(flags).output().unwrap();
        assert!(!output.status.success(), "{flags:?} was accepted");
        assert!(!output.stderr.is_empty(), "{flags:?} was refused without a word");
    }
}
