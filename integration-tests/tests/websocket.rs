//! WebSockets and other upgrades: a raw tunnel through all hops.

use test_support::{Connection, OneApp, Request, eventually, for_each_language};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

for_each_language! {
    [node, generic]
    fn echoes_through_a_websocket(language) {
        let setup = OneApp::of(language);
        let mut client = opened(&setup);
        for turn in 0..100 {
            let text = format!("message {turn}");
            client.send(frame(1, text.as_bytes()));
            assert_eq!(client.read_exact(2 + text.len()), [&[0x81, text.len() as u8], text.as_bytes()].concat());
        }
        client.send(frame(8, b""));
        assert_eq!(client.read_to_end(), [0x88, 0]);
    }

    [node, generic]
    fn carries_bytes_sent_with_the_handshake(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send([UPGRADE.as_bytes(), &frame(1, b"early")].concat());
        assert_eq!(client.read_head().status, 101);
        assert_eq!(client.read_exact(7), b"\x81\x05early");
    }

    [node, generic]
    fn is_notified_when_the_peer_leaves(language) {
        let setup = OneApp::of(language);
        let mut client = opened(&setup);
        client.send(frame(1, b"x"));
        client.read_exact(3);
        drop(client);
        eventually("the app's end is closed", || setup.test_dir.scratch("websocket.closed").exists());
    }

    [node, generic]
    fn other_requests_pass_beside_a_websocket(language) {
        let setup = OneApp::of(language);
        let mut client = opened(&setup);
        let pid = setup.app_pid();
        client.send(frame(2, b"still there"));
        assert_eq!(client.read_exact(13)[2..], *b"still there");
        assert_eq!(setup.app_pid(), pid);
    }

    [node, generic]
    fn a_reload_of_nginx_leaves_it_open(language) {
        let setup = OneApp::of(language);
        let mut client = opened(&setup);
        let master = setup.nginx.master();
        // Old workers stay as long as the tunnel does, so the harness's `reload()` would wait for ever.
        nix_hup(master);
        eventually("a new worker is there", || setup.nginx.workers().len() > 2);
        client.send(frame(1, b"survived"));
        assert_eq!(client.read_exact(10)[2..], *b"survived");
    }
}

#[test]
fn an_app_that_declines_an_upgrade_answers_as_usual() {
    let node =
        "require('http').createServer((q, r) => r.end('no tunnel here')).listen(process.env.PORT || 1)";
    let setup = OneApp::app("", |app| app.node(node));
    let mut client = setup.nginx.connect();
    client.send(UPGRADE);
    assert_eq!(client.read_response().expect(200).text(), "no tunnel here");
    assert_eq!(setup.nginx.send(Request::get("/")).expect(200).text(), "no tunnel here");
}

fn opened(setup: &OneApp) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(UPGRADE);
    let head = client.read_head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("Upgrade"), Some("websocket"));
    assert!(head.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    client
}

/// A short frame as clients send it: masked.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let head = [0x80 | opcode, 0x80 | payload.len() as u8];
    head.into_iter().chain(MASK).chain(masked).collect()
}

fn nix_hup(pid: u32) {
    let status = std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn no_other_protocol_and_no_other_method_is_upgraded() {
    const ECHO: &str = "require('http').createServer((request, response) => \
        response.end(`${request.headers.upgrade} ${request.headers.connection}`)) \
        .on('upgrade', (_, socket) => socket.end('HTTP/1.1 101 Upgraded\\r\\n\\r\\n')) \
        .listen(process.env.PORT || 1)";
    let setup = OneApp::app("", |app| app.node(ECHO));
    let status = |request: &str| {
        let mut client = setup.nginx.connect();
        client.send(request);
        let head = client.read_head();
        let mut body = Vec::new();
        client.read_body(&head, "GET", |bytes| body.extend_from_slice(bytes)).unwrap();
        (head.status, String::from_utf8(body).unwrap())
    };
    let plain = (200, "undefined undefined".to_owned());
    for protocol in ["h2c", "websocket, h2c", "websocket\r\nUpgrade: h2c", "echo"] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        assert_eq!(status(&request), plain, "{protocol}");
    }
    let upgrade = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket";
    assert_eq!(status(&format!("POST / HTTP/1.1\r\n{upgrade}\r\nContent-Length: 1\r\n\r\nx")), plain);
    assert_eq!(status(&format!("GET / HTTP/1.1\r\n{upgrade}\r\nContent-Length: 1\r\n\r\nx")), plain);
    assert_eq!(status(&format!("GET / HTTP/1.1\r\n{upgrade}\r\n\r\n")).0, 101);
}
