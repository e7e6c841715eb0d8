//! Responses in parts, and clients that leave or read slowly.

use std::io;
use std::time::Duration;

use stage::{Language, Memory, Request, Scene, eventually, for_each_language, stays};

for_each_language! {
    fn streams_the_first_part_before_the_second_is_made(language) {
        let scene = Scene::of(language);
        let mut client = scene.nginx.connect();
        client.send(Request::get("/stream?name=gate").bytes("keep-alive"));
        let head = client.read_head();
        assert_eq!((head.status, head.header("Transfer-Encoding")), (200, Some("chunked")));
        client.read_until("first\n");
        scene.stage.open_gate("gate");
        client.read_until("second\n\r\n0\r\n\r\n");
        client.send(Request::get("/").bytes("close"));
        client.read_response().expect(200);
    }

    fn streams_server_sent_events(language) {
        let scene = Scene::of(language);
        let mut client = scene.nginx.connect();
        client.send(Request::get("/sse?name=gate").header("Accept", "text/event-stream").bytes("close"));
        assert_eq!(client.read_head().header("Content-Type"), Some("text/event-stream"));
        client.read_until("data: 1\n\n");
        scene.stage.open_gate("gate");
        client.read_until("data: 2\n\n");
    }

    fn hears_that_a_client_has_left(language) {
        let scene = Scene::of(language);
        let pid = scene.app_pid();
        let mut client = scene.nginx.connect();
        client.send(Request::get("/endless?name=abort").bytes("keep-alive"));
        client.read_until("xxxxxxxx");
        drop(client);
        eventually("the app's response is closed", || scene.stage.scratch("abort.closed").exists());
        assert_eq!(scene.app_pid(), pid, "the process serves the next one");
    }

    fn a_slow_reader_does_not_grow_the_router(language) {
        let scene = Scene::of(language);
        scene.app_pid();
        let before = Memory::resident_kib(scene.daemon.router());
        let mut client = scene.nginx.connect();
        client.send(Request::get("/endless?name=slow").bytes("keep-alive"));
        client.read_until("xxxxxxxx");
        // The app would fill any buffer it is offered.
        stays("the router's memory is bounded", Duration::from_secs(2), || {
            Memory::resident_kib(scene.daemon.router()) < before + 16 * 1024
        });
        assert!(!scene.stage.scratch("slow.closed").exists(), "the app is paused, not cut");
        let mut len = 0;
        while len < 8 << 20 {
            len += client.read_exact(65_536).len();
        }
    }
}

#[test]
fn many_clients_that_leave_at_once_free_their_processes() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=2"));
    for round in 0..5 {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut client = scene.nginx.connect();
                client.send(Request::get("/endless?name=many").bytes("keep-alive"));
                client
            })
            .collect();
        eventually("the app is busy", || scene.stage.scratch("many.arrived").exists());
        drop(clients);
        assert_eq!(scene.nginx.get("/").expect(200).text(), "hello from ruby\n", "round {round}");
    }
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=1"));
    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/wait?name=one").bytes("close"));
    eventually("the only process is busy", || scene.stage.scratch("one.arrived").exists());
    let mut queued = scene.nginx.connect();
    queued.send(Request::get("/wait?name=two").bytes("close"));
    let waiting = |scene: &Scene| scene.daemon.status().contains("Requests in queue: 1");
    eventually("a request waits", || waiting(&scene));
    drop(queued);
    eventually("nobody waits any more", || !waiting(&scene));
    scene.stage.open_gate("one");
    busy.read_response().expect(200);
    scene.app_pid();
    assert!(!scene.stage.scratch("two.arrived").exists(), "the app never saw who had left");
}

#[test]
fn a_half_closed_client_still_gets_its_answer() -> io::Result<()> {
    let scene = Scene::of(Language::Ruby);
    scene.app_pid();
    let mut client = scene.nginx.connect();
    client.send(Request::post("/echo", "half").bytes("close")).half_close();
    let response = client.try_read_response("POST");
    // nginx may take the half-close for a client that left; what it must not do is disturb the app.
    if let Ok(response) = response {
        assert_eq!(response.text(), "half");
    }
    scene.app_pid();
    Ok(())
}
