//! Slow clients: the router keeps the rest of their responses, and the process serves other requests.

use test_support::{DaemonBuilder, Language, OneApp, Request, eventually, is_root, skipped};

/// One process that does one thing at a time.
fn alone(language: Language, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> OneApp {
    OneApp::with(language, "", |daemon| flags(daemon.flag("--max-pool-size=1")))
}

fn a_process_is_free_before_its_slow_client_has_read(language: Language) {
    let setup = alone(language, |daemon| daemon);
    let pid = setup.app_pid();
    let mut slow = setup.nginx.connect();
    slow.send(Request::get("/download?mb=24").bytes("close"));
    let head = slow.read_head();
    assert_eq!(setup.app_pid(), pid, "the only process answers while its other client reads nothing");
    let (mut len, mut wrong) = (0, 0);
    let complete = slow.read_body(&head, "GET", |part| {
        wrong += part.iter().filter(|byte| **byte != b'x').count();
        len += part.len();
    });
    assert!(complete.unwrap(), "cut after {len} bytes");
    assert_eq!((len, wrong), (24 << 20, 0));
}

#[test]
fn a_ruby_process_is_free_before_its_slow_client_has_read() {
    a_process_is_free_before_its_slow_client_has_read(Language::Ruby);
}

#[test]
fn a_python_process_is_free_before_its_slow_client_has_read() {
    a_process_is_free_before_its_slow_client_has_read(Language::Python);
}

#[test]
fn the_backlog_has_a_limit() {
    if !can_inspect_the_router("the_backlog_has_a_limit") {
        return;
    }
    const LIMIT: u64 = 2 << 20;
    let setup =
        alone(Language::Ruby, |daemon| daemon.flag(&format!("--response-buffer-high-watermark={LIMIT}")));
    setup.app_pid();
    let mut slow = setup.nginx.connect();
    slow.send(Request::get("/endless?name=limit").bytes("close"));
    slow.read_until("xxxxxxxx");
    eventually("the file is full", || kept(&setup).contains(&LIMIT));
    assert!(!setup.test_dir.scratch("limit.closed").exists(), "the app is paused, not cut");
    drop(slow);
    eventually("the app is notified that its client has disconnected", || {
        setup.test_dir.scratch("limit.closed").exists()
    });
    eventually("the file has gone", || kept(&setup).is_empty());
}

#[test]
fn a_client_that_leaves_frees_its_backlog() {
    if !can_inspect_the_router("a_client_that_leaves_frees_its_backlog") {
        return;
    }
    let setup = alone(Language::Ruby, |daemon| daemon);
    let pid = setup.app_pid();
    let mut slow = setup.nginx.connect();
    slow.send(Request::get("/download?mb=24").bytes("close"));
    slow.read_head();
    assert_eq!(setup.app_pid(), pid);
    assert!(!kept(&setup).is_empty(), "nothing is kept");
    drop(slow);
    eventually("the file has gone", || kept(&setup).is_empty());
}

#[test]
fn a_response_arrives_without_a_buffer_directory() {
    let dir = std::env::temp_dir().join(format!("flying-passenger-buffers.{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let setup = alone(Language::Ruby, |daemon| daemon.flag(&format!("--data-buffer-dir={}", dir.display())));
    std::fs::remove_dir(&dir).unwrap();
    let mut slow = setup.nginx.connect();
    slow.send(Request::get("/download?mb=24").bytes("close"));
    let head = slow.read_head();
    setup.daemon.logs_eventually("cannot buffer responses for slow clients in");
    let mut len = 0;
    assert!(slow.read_body(&head, "GET", |part| len += part.len()).unwrap());
    assert_eq!(len, 24 << 20);
}

/// What a router holds open is closed to its own user.
fn can_inspect_the_router(test: &str) -> bool {
    if !is_root() {
        skipped(test, "only root may inspect a router");
    }
    is_root()
}

/// Lengths of the nameless files that the router holds.
fn kept(setup: &OneApp) -> Vec<u64> {
    let descriptors = format!("/proc/{}/fd", setup.daemon.router());
    let files = std::fs::read_dir(descriptors).unwrap().flatten().map(|entry| entry.path());
    // A nameless file is shown as deleted, and the file of its descriptor can still be inspected.
    let nameless = files.filter(|fd| {
        std::fs::read_link(fd)
            .is_ok_and(|to| to.starts_with("/var/tmp") && to.to_string_lossy().ends_with("(deleted)"))
    });
    nameless.filter_map(|fd| std::fs::metadata(fd).ok()).map(|found| found.len()).collect()
}
