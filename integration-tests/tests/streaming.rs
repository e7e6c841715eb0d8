//! Responses in parts, and clients that leave or read slowly.

use std::io;
use std::time::Duration;

use test_support::{Language, Memory, OneApp, Request, eventually, for_each_language, stays};

for_each_language! {
    fn streams_the_first_part_before_the_second_is_made(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send(Request::get("/stream?name=gate").bytes("keep-alive"));
        let head = client.read_head();
        assert_eq!((head.status, head.header("Transfer-Encoding")), (200, Some("chunked")));
        client.read_until("first\n");
        setup.test_dir.open_gate("gate");
        client.read_until("second\n\r\n0\r\n\r\n");
        client.send(Request::get("/").bytes("close"));
        client.read_response().expect(200);
    }

    fn streams_server_sent_events(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send(Request::get("/sse?name=gate").header("Accept", "text/event-stream").bytes("close"));
        assert_eq!(client.read_head().header("Content-Type"), Some("text/event-stream"));
        client.read_until("data: 1\n\n");
        setup.test_dir.open_gate("gate");
        client.read_until("data: 2\n\n");
    }

    fn is_notified_when_a_client_leaves(language) {
        let setup = OneApp::of(language);
        let pid = setup.app_pid();
        let mut client = setup.nginx.connect();
        client.send(Request::get("/endless?name=abort").bytes("keep-alive"));
        client.read_until("xxxxxxxx");
        drop(client);
        eventually("the app's response is closed", || setup.test_dir.scratch("abort.closed").exists());
        assert_eq!(setup.app_pid(), pid, "the process serves the next one");
    }

    fn a_slow_reader_does_not_grow_the_router(language) {
        let setup = OneApp::of(language);
        setup.app_pid();
        let before = Memory::resident_kib(setup.daemon.router());
        let mut client = setup.nginx.connect();
        client.send(Request::get("/endless?name=slow").bytes("keep-alive"));
        client.read_until("xxxxxxxx");
        // The app would fill any buffer it is offered.
        stays("the router's memory is bounded", Duration::from_secs(2), || {
            Memory::resident_kib(setup.daemon.router()) < before + 16 * 1024
        });
        assert!(!setup.test_dir.scratch("slow.closed").exists(), "the app is paused, not cut");
        let mut len = 0;
        while len < 8 << 20 {
            len += client.read_exact(65_536).len();
        }
    }
}

#[test]
fn many_clients_that_leave_at_once_free_their_processes() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=2"));
    for round in 0..5 {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let mut client = setup.nginx.connect();
                client.send(Request::get("/endless?name=many").bytes("keep-alive"));
                client
            })
            .collect();
        eventually("the app is busy", || setup.test_dir.scratch("many.arrived").exists());
        drop(clients);
        assert_eq!(setup.nginx.get("/").expect(200).text(), "hello from ruby\n", "round {round}");
    }
}

#[test]
fn a_client_that_leaves_the_queue_is_removed() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=1"));
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=one").bytes("close"));
    eventually("the only process is busy", || setup.test_dir.scratch("one.arrived").exists());
    let mut queued = setup.nginx.connect();
    queued.send(Request::get("/wait?name=two").bytes("close"));
    let waiting = |setup: &OneApp| setup.daemon.status().contains("Requests in queue: 1");
    eventually("a request waits", || waiting(&setup));
    drop(queued);
    eventually("no request waits any more", || !waiting(&setup));
    setup.test_dir.open_gate("one");
    busy.read_response().expect(200);
    setup.app_pid();
    assert!(!setup.test_dir.scratch("two.arrived").exists(), "the app never saw who had left");
}

#[test]
fn a_half_closed_client_still_gets_its_answer() -> io::Result<()> {
    let setup = OneApp::of(Language::Ruby);
    setup.app_pid();
    let mut client = setup.nginx.connect();
    client.send(Request::post("/echo", "half").bytes("close")).half_close();
    let response = client.try_read_response("POST");
    // nginx may take the half-close for a client that left; what it must not do is disturb the app.
    if let Ok(response) = response {
        assert_eq!(response.text(), "half");
    }
    setup.app_pid();
    Ok(())
}
