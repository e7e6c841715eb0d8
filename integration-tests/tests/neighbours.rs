//! An app that floods the router with tiny parts of responses, heads or output. Another app serves meanwhile, and what
//! an app writes byte by byte arrives complete.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

use test_support::TwoApps;

/// Misbehaves as the path says.
const HOSTILE: &str = include_str!("fixtures/hostile.py");

const LINES: &str = r#"
    passenger_app_start_command "/usr/bin/python3 server.py";
    passenger_max_instances 1;
    passenger_force_max_concurrent_requests_per_process 50;
    passenger_request_buffering off;
"#;

fn setup() -> TwoApps {
    let setup = TwoApps::new(LINES, |daemon| daemon, |app| app.file("server.py", HOSTILE));
    setup.nginx.get("/bad/hello").expect(200);
    setup
}

/// A client that reads whatever arrives.
struct Client {
    stream: TcpStream,
    reader: JoinHandle<usize>,
}

impl Client {
    fn of(setup: &TwoApps, path: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", setup.nginx.port())).unwrap();
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        write!(stream, "GET /bad/{path} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n").unwrap();
        let mut reading = stream.try_clone().unwrap();
        let reader = thread::spawn(move || {
            let (mut buffer, mut received) = (vec![0; 1 << 16], 0);
            while let Ok(len @ 1..) = reading.read(&mut buffer) {
                received += len;
            }
            received
        });
        Self { stream, reader }
    }

    /// Ends it; returns how much it has received.
    fn end(self) -> usize {
        // nginx may have closed the connection.
        drop(self.stream.shutdown(Shutdown::Both));
        self.reader.join().unwrap()
    }
}

/// Asserts that the other app serves while eight clients request this from the hostile one, which serves afterwards.
fn others_are_served_during(paths: &[&str]) {
    let setup = setup();
    for path in paths {
        let clients: Vec<_> = (0..8).map(|_| Client::of(&setup, path)).collect();
        for _ in 0..50 {
            setup.good_app_serves();
        }
        let received: usize = clients.into_iter().map(Client::end).sum();
        println!("{path}: {received} bytes");
        assert_eq!(setup.nginx.get("/bad/hello").expect(200).text(), "hello\n", "after {path}");
    }
}

#[test]
fn tiny_parts_of_a_body_do_not_block_another_app() {
    others_are_served_during(&["chunks", "extensions", "bytewise_chunks", "bytewise", "tunnel"]);
}

#[test]
fn heads_that_never_end_do_not_block_another_app() {
    others_are_served_during(&["interims", "hints", "dripping_head", "newline_head", "large_head"]);
}

#[test]
fn large_bodies_and_output_do_not_block_another_app() {
    others_are_served_during(&["big", "printing", "newlines", "bytewise_printing"]);
}

#[test]
fn a_response_written_byte_by_byte_arrives_complete() {
    let setup = setup();
    assert_eq!(setup.nginx.get("/bad/digits").expect(200).text(), "0123456789".repeat(2000));
}

#[test]
fn an_upload_in_tiny_parts_arrives_complete() {
    let setup = setup();
    let mut client = setup.nginx.connect();
    client.send("POST /bad/count HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\nConnection: close\r\n\r\n");
    for _ in 0..3000 {
        client.send(*b"x");
    }
    assert_eq!(client.read_response().expect(200).text(), "3000\n");
}

#[test]
fn output_written_byte_by_byte_is_logged() {
    let setup = setup();
    setup.nginx.get("/bad/bytewise_printing").expect(200);
    // A line without end is logged in parts of 8 KiB.
    setup.daemon.logs_eventually(&"x".repeat(8 * 1024));
}
