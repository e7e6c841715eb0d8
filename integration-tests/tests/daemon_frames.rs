//! The daemon alone, spoken to in frames: what holds here and not through nginx is the module's affair.

use stage::{FrameClient, Stage, eventually, for_each_language, kill_9};

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
