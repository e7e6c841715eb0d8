//! A module and a daemon of incompatible releases: refused, with a message on both sides.

use stage::{FakeDaemon, FakeModule, Language, ONE_APP, Scene, Stage};

#[test]
fn a_module_refused_by_a_newer_daemon_says_what_to_upgrade() {
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    let _daemon = FakeDaemon::listen(&stage.socket(), &[999], "9.9.9");
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", "")).start();
    stage.expect_log_line("999");

    assert_eq!(nginx.get("/").status(), 502);
    let log = nginx.error_log();
    // Lines without a client are those of nginx's own connection.
    let is_told = |line: &&str| line.contains("999") && line.contains("client: ");
    let told: Vec<&str> = log.lines().filter(is_told).collect();
    assert_eq!(told.len(), 1, "one clear line, not these: {log}");
    let ours = format!("speaks protocol {}", protocol::CURRENT_VERSION);
    assert!(told[0].contains(&ours), "it names our version: {}", told[0]);
    assert!(told[0].contains("upgrade the nginx module"), "it says what to do: {}", told[0]);

    // Nothing crashed: the same worker answers the next one alike.
    let workers = nginx.workers();
    assert_eq!(nginx.get("/").status(), 502);
    assert_eq!(nginx.workers(), workers);
}

#[test]
fn a_daemon_refuses_a_module_of_an_unknown_version_and_says_what_to_upgrade() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    let refusal = FakeModule::say_hello(&scene.stage.socket(), &[999], "9.9.9").refusal();
    assert_eq!(refusal.versions, protocol::SPOKEN_VERSIONS);
    assert!(refusal.advice.ends_with("upgrade the daemon"), "{}", refusal.advice);
    scene.daemon.logs_eventually("protocol 999");
    let log = scene.daemon.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains(" 999")).collect();
    assert_eq!(told.len(), 1, "one clear line, not these: {told:#?}");
    assert!(told[0].contains("upgrade the daemon"), "{}", told[0]);
    assert_eq!(scene.app_pid(), pid);
}

#[test]
fn a_daemon_tells_an_older_module_apart() {
    let scene = Scene::of(Language::Ruby);
    let refusal = FakeModule::say_hello(&scene.stage.socket(), &[0], "0.0.1").refusal();
    assert!(refusal.advice.ends_with("upgrade the nginx module"), "{}", refusal.advice);
    scene.daemon.logs_eventually("upgrade the nginx module");
}

#[test]
fn a_stranger_on_the_socket_disturbs_nobody() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0xff; 64], &[0; 4096], b""] {
        let mut stream = UnixStream::connect(scene.stage.socket()).unwrap();
        // The daemon may have hung up before the last byte is written.
        let _hung_up = stream.write_all(bytes);
        let _hung_up = stream.shutdown(std::net::Shutdown::Write);
        let _hung_up = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(scene.app_pid(), pid);
}
