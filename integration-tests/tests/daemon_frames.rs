//! The daemon without nginx, by frames: separates faults of the daemon from those of the module.

use nix::sys::signal::Signal;
use stage::{App, Daemon, FrameClient, Language, Stage, eventually, for_each_language, kill_9};

for_each_language! {
    fn answers_by_frames(language) {
        let stage = Stage::new();
        let app = stage.app("app").standard(language);
        let _daemon = stage.daemon().start();
        let mut client = FrameClient::connect(&stage.socket());
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
        let stage = Stage::new();
        let app = stage.app("app").standard(language);
        let daemon = stage.daemon().start();
        let pid = || FrameClient::connect(&stage.socket()).get(app.dir(), language, "/pid").text();
        let before = pid();
        daemon.kill_router();
        assert_eq!(pid(), before);
        kill_9(before.parse().unwrap());
        eventually("another process is there", || {
            let pids = daemon.app_pids();
            pids.len() == 1 && pids[0].to_string() != before
        });
    }

    fn forgets_a_request_that_is_withdrawn(language) {
        let stage = Stage::new();
        let app = stage.app("app").standard(language);
        let _daemon = stage.daemon().flag("--max-pool-size=1").start();
        let mut client = FrameClient::connect(&stage.socket());
        client.ask(app.dir(), language, "/endless?name=cut", None);
        eventually("the app has begun", || stage.scratch("cut.arrived").exists());
        client.cancel();
        eventually("the app's response is closed", || stage.scratch("cut.closed").exists());
        FrameClient::connect(&stage.socket()).get(app.dir(), language, "/").text();
    }
}

for_each_language! {
    [ruby]
    fn hangs_up_on_nonsense_and_serves_on(language) {
        let stage = Stage::new();
        let app = stage.app("app").standard(language);
        let daemon = stage.daemon().start();
        let router = daemon.router();
        for nonsense in [&[0xff; 12][..], &[0xff, 0xff, 0xff, 0x7f, 2, 0, 0, 0, 0, 0, 0, 0], &[5, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]] {
            let mut client = FrameClient::connect(&stage.socket());
            client.send(nonsense);
            assert!(client.is_closed(), "{nonsense:?}");
        }
        FrameClient::connect(&stage.socket()).get(app.dir(), language, "/").text();
        assert_eq!(daemon.router(), router, "the router has not been replaced");
    }
}

/// A daemon that ends, and a connection of each sort that waits for a request: one that hears a goodbye, and one that has
/// sent nothing yet. Both are served once more.
#[test]
fn what_is_written_in_the_moment_of_the_goodbye_is_served() {
    let (stage, app, mut daemon) = one_app();
    let mut silent = FrameClient::silent(&stage.socket());
    let mut kept = FrameClient::silent(&stage.socket());
    kept.say_hello(true);
    let pid = kept.get(app.dir(), Language::Python, "/pid").text();
    daemon.signal(Signal::SIGTERM);
    daemon.logs_eventually("shutting down");
    assert!(kept.hears_goodbye());
    assert_eq!(kept.get(app.dir(), Language::Python, "/pid").text(), pid);
    silent.say_hello(true);
    let answer = silent.get(app.dir(), Language::Python, "/pid");
    assert_eq!(answer.text(), pid);
    assert!(answer.is_last || silent.hears_goodbye());
    drop((silent, kept));
    assert!(daemon.await_end().success());
}

#[test]
fn who_does_not_hear_a_goodbye_or_does_not_heed_it_holds_nothing_up() {
    let (stage, app, mut daemon) = one_app();
    let clients = [None, Some(false), Some(true)].map(|hears_goodbye| {
        let mut client = FrameClient::silent(&stage.socket());
        if let Some(hears_goodbye) = hears_goodbye {
            client.say_hello(hears_goodbye);
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

fn one_app() -> (Stage, App, Daemon) {
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Python);
    let daemon = stage.daemon().start();
    (stage, app, daemon)
}

#[test]
fn a_daemon_asked_to_stop_kills_nobody() {
    let stage = Stage::new();
    let app = stage.app("app").standard(stage::Language::Ruby);
    let mut daemon = stage.daemon().start();
    FrameClient::connect(&stage.socket()).get(app.dir(), stage::Language::Ruby, "/").text();
    let status = daemon.stop();
    assert!(status.success(), "{status}");
    assert!(!daemon.log().contains("killed"), "everybody leaves by himself:\n{}", daemon.log());
}
