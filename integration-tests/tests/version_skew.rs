//! A module and a daemon of incompatible releases: refused, with a message on both sides.

use test_support::{FakeDaemon, FakeModule, Language, ONE_APP_CONF, OneApp, TestDir};

#[test]
fn a_module_refused_by_a_newer_daemon_logs_what_to_upgrade() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let _daemon = FakeDaemon::listen(&test_dir.socket(), &[999], "9.9.9");
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    test_dir.expect_log_line("999");

    assert_eq!(nginx.get("/").status(), 502);
    let log = nginx.error_log();
    // Lines without a client are those of nginx's own connection.
    let is_told = |line: &&str| line.contains("999") && line.contains("client: ");
    let reported: Vec<&str> = log.lines().filter(is_told).collect();
    assert_eq!(reported.len(), 1, "one clear line, not these: {log}");
    let ours = format!("speaks protocol {}", protocol::CURRENT_VERSION);
    assert!(reported[0].contains(&ours), "it names our version: {}", reported[0]);
    assert!(reported[0].contains("upgrade the nginx module"), "it says what to do: {}", reported[0]);

    // Nothing crashed: the same worker answers the next one alike.
    let workers = nginx.workers();
    assert_eq!(nginx.get("/").status(), 502);
    assert_eq!(nginx.workers(), workers);
}

#[test]
fn a_daemon_refuses_an_unknown_version_and_logs_what_to_upgrade() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let refusal = FakeModule::send_hello(&setup.test_dir.socket(), &[999], "9.9.9").refusal();
    assert_eq!(refusal.versions, protocol::SPOKEN_VERSIONS);
    assert!(refusal.advice.ends_with("upgrade the daemon"), "{}", refusal.advice);
    setup.daemon.logs_eventually("protocol 999");
    let log = setup.daemon.log();
    let reported: Vec<&str> = log.lines().filter(|line| line.contains(" 999")).collect();
    assert_eq!(reported.len(), 1, "one clear line, not these: {reported:#?}");
    assert!(reported[0].contains("upgrade the daemon"), "{}", reported[0]);
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn a_daemon_recognises_an_older_module() {
    let setup = OneApp::of(Language::Ruby);
    let refusal = FakeModule::send_hello(&setup.test_dir.socket(), &[0], "0.0.1").refusal();
    assert!(refusal.advice.ends_with("upgrade the nginx module"), "{}", refusal.advice);
    setup.daemon.logs_eventually("upgrade the nginx module");
}

#[test]
fn an_invalid_client_on_the_socket_does_no_harm() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0xff; 64], &[0; 4096], b""] {
        let mut stream = UnixStream::connect(setup.test_dir.socket()).unwrap();
        // The daemon may have hung up before the last byte is written.
        let _hung_up = stream.write_all(bytes);
        let _hung_up = stream.shutdown(std::net::Shutdown::Write);
        let _hung_up = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(setup.app_pid(), pid);
}
