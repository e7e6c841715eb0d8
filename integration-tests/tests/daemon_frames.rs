//! The daemon without nginx, by frames: separates faults of the daemon from those of the module.

use nix::sys::signal::Signal;
use test_support::{App, Daemon, FrameClient, Language, TestDir, eventually, for_each_language, kill_9};

for_each_language! {
    fn the_daemon_answers_by_frames(language) {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language);
        let _daemon = test_dir.daemon().start();
        let mut client = FrameClient::connect(&test_dir.socket());
        for _ in 0..20 {
            let hello = client.get(app.dir(), language, "/").text();
            assert_eq!(hello, format!("hello from {}\n", language.name()));
        }
        client.ask(app.dir(), language, "/echo", Some(b"a body"));
        assert_eq!(client.answer().text(), "a body");
        let mb = client.get(app.dir(), language, "/download?mb=3");
        assert_eq!((mb.status, mb.body.len()), (200, 3 << 20));
    }

    fn another_router_finds_the_process(language) {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language);
        let daemon = test_dir.daemon().start();
        let pid = || FrameClient::connect(&test_dir.socket()).get(app.dir(), language, "/pid").text();
        let before = pid();
        daemon.kill_router();
        assert_eq!(pid(), before);
        kill_9(before.parse().unwrap());
        eventually("another process is there", || {
            let pids = daemon.app_pids();
            pids.len() == 1 && pids[0].to_string() != before
        });
    }

    fn a_cancelled_request_is_dropped(language) {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language);
        let _daemon = test_dir.daemon().flag("--max-pool-size=1").start();
        let mut client = FrameClient::connect(&test_dir.socket());
        client.ask(app.dir(), language, "/endless?name=cut", None);
        eventually("the app has begun", || test_dir.scratch("cut.arrived").exists());
        client.cancel();
        eventually("the app's response is closed", || test_dir.scratch("cut.closed").exists());
        FrameClient::connect(&test_dir.socket()).get(app.dir(), language, "/").text();
    }
}

for_each_language! {
    [ruby]
    fn invalid_frames_close_only_their_connection(language) {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language);
        let daemon = test_dir.daemon().start();
        let router = daemon.router();
        for nonsense in [&[0xff; 12][..], &[0xff, 0xff, 0xff, 0x7f, 2, 0, 0, 0, 0, 0, 0, 0], &[5, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]] {
            let mut client = FrameClient::connect(&test_dir.socket());
            client.send(nonsense);
            assert!(client.is_closed(), "{nonsense:?}");
        }
        FrameClient::connect(&test_dir.socket()).get(app.dir(), language, "/").text();
        assert_eq!(daemon.router(), router, "the router has not been replaced");
    }
}

/// A daemon that ends, and a connection of each sort that waits for a request: one that hears a goodbye, and one that has
/// sent nothing yet. Both are served once more.
#[test]
fn a_request_sent_during_the_goodbye_is_served() {
    let (test_dir, app, mut daemon) = one_app();
    let mut silent = FrameClient::silent(&test_dir.socket());
    let mut kept = FrameClient::silent(&test_dir.socket());
    kept.send_hello(true);
    let pid = kept.get(app.dir(), Language::Python, "/pid").text();
    daemon.signal(Signal::SIGTERM);
    daemon.logs_eventually("shutting down");
    assert!(kept.hears_goodbye());
    assert_eq!(kept.get(app.dir(), Language::Python, "/pid").text(), pid);
    silent.send_hello(true);
    let answer = silent.get(app.dir(), Language::Python, "/pid");
    assert_eq!(answer.text(), pid);
    assert!(answer.is_last || silent.hears_goodbye());
    drop((silent, kept));
    assert!(daemon.await_end().success());
}

#[test]
fn clients_that_ignore_the_goodbye_do_not_delay_shutdown() {
    let (test_dir, app, mut daemon) = one_app();
    let clients = [None, Some(false), Some(true)].map(|hears_goodbye| {
        let mut client = FrameClient::silent(&test_dir.socket());
        if let Some(hears_goodbye) = hears_goodbye {
            client.send_hello(hears_goodbye);
            client.get(app.dir(), Language::Python, "/").text();
        }
        client
    });
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains("did not finish"), "{}", daemon.log());
    for client in clients {
        assert!(client.is_closed());
    }
}

fn one_app() -> (TestDir, App, Daemon) {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Python);
    let daemon = test_dir.daemon().start();
    (test_dir, app, daemon)
}

#[test]
fn a_graceful_stop_kills_no_process() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(test_support::Language::Ruby);
    let mut daemon = test_dir.daemon().start();
    FrameClient::connect(&test_dir.socket()).get(app.dir(), test_support::Language::Ruby, "/").text();
    let status = daemon.stop();
    assert!(status.success(), "{status}");
    assert!(!daemon.log().contains("killed"), "everybody leaves by himself:\n{}", daemon.log());
}
