//! The life of the daemon: starting, stopping, being down, being killed.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use test_support::{
    Language, ONE_APP_CONF, OneApp, Request, TestDir, eventually, for_each_language, is_alive, stays,
};

for_each_language! {
    fn a_terminated_daemon_leaves_no_process(language) {
        let mut setup = OneApp::of(language);
        let pid = setup.app_pid();
        let router = setup.daemon.router();
        let status = setup.daemon.stop();
        assert!(status.success(), "{status}");
        assert!(!is_alive(pid) && !is_alive(router), "stopping has waited for them");
        assert!(!setup.test_dir.socket().exists(), "its socket is gone");
        setup.test_dir.expect_log_line(&setup.test_dir.socket().display().to_string());
    }

    fn apps_end_with_a_killed_daemon(language) {
        let mut setup = OneApp::of(language);
        let pid = setup.app_pid();
        let supervisor = setup.daemon.pid();
        // The supervisor only: no process is notified, so the end of the owner pipe must suffice.
        test_support::kill_9(supervisor);
        eventually("app and router have gone", || {
            let nginx = [setup.nginx.master(), setup.nginx.workers()[0], setup.nginx.workers()[1]];
            !is_alive(pid) && setup.test_dir.processes().iter().all(|pid| nginx.contains(pid) || *pid == supervisor)
        });
        setup.daemon.kill();
        setup.daemon.start_again();
        assert_ne!(setup.app_pid(), pid);
    }
}

#[test]
fn nginx_logs_a_remedy_while_the_daemon_is_down() {
    let mut setup = OneApp::of(Language::Ruby);
    setup.app_pid();
    setup.daemon.stop();
    let response = setup.nginx.get("/pid");
    assert_eq!(response.status(), 502);
    let socket = setup.test_dir.socket().display().to_string();
    setup.test_dir.expect_log_line(&socket);
    let log = setup.nginx.error_log();
    let advice = log.lines().find(|line| line.contains(&socket) && line.contains("flying-passenger"));
    assert!(advice.is_some(), "no line names the socket {socket} and the daemon to start:\n{log}");

    setup.daemon.start_again();
    assert_eq!(setup.nginx.get("/").expect(200).text(), "hello from ruby\n", "without touching nginx");
}

#[test]
fn nginx_starts_and_tests_its_configuration_without_a_daemon() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", ""));
    let test = nginx.test_config();
    assert!(test.status.success(), "{test:?}");
    let nginx = nginx.start();
    test_dir.expect_log_line(&test_dir.socket().display().to_string());
    assert_eq!(nginx.get("/").status(), 502);
    let _daemon = test_dir.daemon().start();
    nginx.get("/").expect(200);
}

#[test]
fn a_second_daemon_on_a_live_socket_is_refused() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let second = setup.test_dir.daemon().output();
    assert!(!second.status.success(), "{second:?}");
    let printed =
        String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
    assert!(printed.contains(&setup.test_dir.socket().display().to_string()), "{printed}");
    assert_eq!(setup.app_pid(), pid, "the first one is untouched");
}

#[test]
fn a_stale_socket_is_removed() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    drop(UnixListener::bind(test_dir.socket()).unwrap());
    assert!(test_dir.socket().exists(), "a socket without a listener");
    let mut daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    nginx.get("/").expect(200);
    daemon.kill();
    assert!(test_dir.socket().exists(), "kill -9 leaves its socket");
    daemon.start_again();
    nginx.get("/").expect(200);
}

#[test]
fn refuses_to_replace_a_file_that_is_not_a_socket() {
    let test_dir = TestDir::new();
    fs::write(test_dir.socket(), "precious").unwrap();
    let output = test_dir.daemon().output();
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(test_dir.socket()).unwrap(), "precious");
}

#[test]
fn an_interrupted_daemon_finishes_its_requests() {
    let mut setup = OneApp::of(Language::Ruby);
    let mut client = setup.nginx.connect();
    client.send(Request::get("/wait?name=last").bytes("close"));
    eventually("a request is active", || setup.test_dir.scratch("last.arrived").exists());
    let (gate, supervisor) = (setup.test_dir.scratch("last.go"), setup.daemon.pid());
    let opener = std::thread::spawn(move || {
        stays("the daemon waits for the request", Duration::from_millis(300), || is_alive(supervisor));
        fs::write(gate, "go").unwrap();
    });
    let status = setup.daemon.stop();
    opener.join().unwrap();
    assert!(status.success(), "{status}");
    client.read_response().expect(200);
}

#[test]
fn every_stop_signal_lets_requests_finish() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut setup = OneApp::of(Language::Ruby);
        let mut client = setup.nginx.connect();
        client.send(Request::get("/wait?name=last").bytes("close"));
        eventually("a request is active", || setup.test_dir.scratch("last.arrived").exists());
        setup.daemon.signal(signal);
        setup.daemon.logs_eventually(&format!("received {}", signal.as_str()));
        setup.test_dir.open_gate("last");
        client.read_response().expect(200);
        let status = setup.daemon.await_end();
        assert!(status.success(), "{signal}: {status}");
        setup.test_dir.expect_log_line(&setup.test_dir.socket().display().to_string());
    }
}

#[test]
fn help_and_version_are_printed() {
    use std::process::Command;
    for name in ["flying-passenger", "passenger-status", "passenger-config", "passenger-memory-stats"] {
        let help = Command::new(test_support::binary(name)).arg("--help").output().unwrap();
        assert!(help.status.success() && !help.stdout.is_empty(), "{name} --help: {help:?}");
    }
    let help = Command::new(test_support::binary("flying-passenger")).arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in ["--socket-file", "--max-pool-size", "--pool-idle-time", "--log-level", "--version"] {
        assert!(text.contains(flag), "{flag} is missing in {text}");
    }
    let version = Command::new(test_support::binary("flying-passenger")).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{version:?}");
}

#[test]
fn rejects_invalid_flags() {
    use std::process::Command;
    for flags in [&["--max-pool-size=0"][..], &["--socket-file=/x", "--no-such-flag"], &[]] {
        let output = Command::new(test_support::binary("flying-passenger")).args(flags).output().unwrap();
        assert!(!output.status.success(), "{flags:?} was accepted");
        assert!(!output.stderr.is_empty(), "{flags:?} was refused without a word");
    }
}
