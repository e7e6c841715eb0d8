//! Slow clients: the router keeps the rest of their responses, and the process serves other requests.

use stage::{DaemonBuilder, Language, Request, Scene, eventually, is_root, skipped};

/// One process that does one thing at a time.
fn alone(language: Language, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Scene {
    Scene::with(language, "", |daemon| flags(daemon.flag("--max-pool-size=1")))
}

fn a_process_is_free_before_its_slow_client_has_read(language: Language) {
    let scene = alone(language, |daemon| daemon);
    let pid = scene.app_pid();
    let mut slow = scene.nginx.connect();
    slow.send(Request::get("/download?mb=24").bytes("close"));
    let head = slow.read_head();
    assert_eq!(scene.app_pid(), pid, "the only process answers while its other client reads nothing");
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
fn what_is_kept_has_a_limit() {
    if !may_look_into_the_router("what_is_kept_has_a_limit") {
        return;
    }
    const LIMIT: u64 = 2 << 20;
    let scene =
        alone(Language::Ruby, |daemon| daemon.flag(&format!("--response-buffer-high-watermark={LIMIT}")));
    scene.app_pid();
    let mut slow = scene.nginx.connect();
    slow.send(Request::get("/endless?name=limit").bytes("close"));
    slow.read_until("xxxxxxxx");
    eventually("the file is full", || kept(&scene).contains(&LIMIT));
    assert!(!scene.stage.scratch("limit.closed").exists(), "the app is paused, not cut");
    drop(slow);
    eventually("the app hears that its client has left", || scene.stage.scratch("limit.closed").exists());
    eventually("the file has gone", || kept(&scene).is_empty());
}

#[test]
fn a_client_that_leaves_takes_what_was_kept_along() {
    if !may_look_into_the_router("a_client_that_leaves_takes_what_was_kept_along") {
        return;
    }
    let scene = alone(Language::Ruby, |daemon| daemon);
    let pid = scene.app_pid();
    let mut slow = scene.nginx.connect();
    slow.send(Request::get("/download?mb=24").bytes("close"));
    slow.read_head();
    assert_eq!(scene.app_pid(), pid);
    assert!(!kept(&scene).is_empty(), "nothing is kept");
    drop(slow);
    eventually("the file has gone", || kept(&scene).is_empty());
}

#[test]
fn without_a_directory_to_write_to_the_answer_still_arrives() {
    let dir = std::env::temp_dir().join(format!("flying-passenger-buffers.{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let scene = alone(Language::Ruby, |daemon| daemon.flag(&format!("--data-buffer-dir={}", dir.display())));
    std::fs::remove_dir(&dir).unwrap();
    let mut slow = scene.nginx.connect();
    slow.send(Request::get("/download?mb=24").bytes("close"));
    let head = slow.read_head();
    scene.daemon.logs_eventually("cannot buffer responses for slow clients in");
    let mut len = 0;
    assert!(slow.read_body(&head, "GET", |part| len += part.len()).unwrap());
    assert_eq!(len, 24 << 20);
}

/// What a router holds open is closed to its own user.
fn may_look_into_the_router(test: &str) -> bool {
    if !is_root() {
        skipped(test, "nobody but root may look into a router");
    }
    is_root()
}

/// Lengths of the nameless files that the router holds.
fn kept(scene: &Scene) -> Vec<u64> {
    let descriptors = format!("/proc/{}/fd", scene.daemon.router());
    let files = std::fs::read_dir(descriptors).unwrap().flatten().map(|entry| entry.path());
    // A nameless file is shown as deleted, and what its descriptor leads to can still be looked at.
    let nameless = files.filter(|fd| {
        std::fs::read_link(fd)
            .is_ok_and(|to| to.starts_with("/var/tmp") && to.to_string_lossy().ends_with("(deleted)"))
    });
    nameless.filter_map(|fd| std::fs::metadata(fd).ok()).map(|found| found.len()).collect()
}
