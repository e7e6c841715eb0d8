//! Unusual, lenient and invalid responses of HTTP applications, byte for byte.

use std::process::Command;

use test_support::{ONE_APP_CONF, OneApp, Request, Response, run};

/// Answers `/NAME` with the bytes of the file `answers/NAME`, closes the connection, and keeps the request's bytes in
/// `scratch/NAME.request`.
const SERVER: &str = r#"
import os, socketserver

class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        name = head.split(b" ")[1].decode().strip("/")
        with open("scratch/" + name + ".request", "wb") as request:
            request.write(head)
        with open("answers/" + name, "rb") as answer:
            self.wfile.write(answer.read())

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

Server(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

const START: &str = r#"passenger_app_start_command "/usr/bin/python3 server.py";"#;

/// An application that answers with these bytes, and more lines of its location.
fn answering(lines: &str, answers: &[(&str, &str)]) -> OneApp {
    OneApp::app(&format!("{START} {lines}"), |app| {
        let app = app.file("server.py", SERVER);
        answers.iter().fold(app, |app, (name, bytes)| app.file(&format!("answers/{name}"), bytes))
    })
}

/// The answer of one such application.
fn answer(bytes: &str) -> Response {
    answering("", &[("x", bytes)]).nginx.get("/x")
}

#[test]
fn upgrade_stays_in_a_426_and_nowhere_else() {
    let headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nno\n";
    let required = format!("HTTP/1.1 426 Upgrade Required\r\n{headers}");
    let offered = format!("HTTP/1.1 200 OK\r\n{headers}");
    let setup = answering("", &[("required", &required), ("offered", &offered)]);
    let response = setup.nginx.get("/required").expect(426);
    assert_eq!((response.header("Upgrade"), response.text().as_str()), (Some("websocket"), "no\n"));
    assert_eq!(setup.nginx.get("/offered").expect(200).header("Upgrade"), None);
}

#[test]
fn an_upgrade_header_does_not_reach_a_client_of_http2() {
    let required = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nno\n";
    let setup = answering("", &[("x", required)]);
    let conf =
        ONE_APP_CONF.replace("127.0.0.1:%%PORT%%", "127.0.0.1:%%PORT%% http2").replace("%%APP%%", START);
    let nginx = setup.test_dir.nginx(&conf).start();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--http2-prior-knowledge", "--max-time", "30"]);
    let answer = run(curl.arg(format!("http://127.0.0.1:{}/x", nginx.port())));
    assert!(answer.starts_with("HTTP/2 426") && answer.ends_with("no\n"), "{answer}");
    assert!(!answer.to_lowercase().contains("upgrade:"), "{answer}");
}

#[test]
fn an_invalid_content_length_is_a_502() {
    let cases = [
        ("2-to-63", "Content-Length: 9223372036854775808\r\n"),
        ("2-to-64", "Content-Length: 18446744073709551616\r\n"),
        ("largest", "Content-Length: 18446744073709551615\r\n"),
        ("signed", "Content-Length: -1\r\n"),
        ("empty", "Content-Length:\r\n"),
        ("list", "Content-Length: 5, 5\r\n"),
        ("hexadecimal", "Content-Length: 0x5\r\n"),
        ("two", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("chunked-too", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ];
    let answers = cases.map(|(name, lines)| (name, format!("HTTP/1.1 200 OK\r\n{lines}\r\nhello")));
    let answers = answers.each_ref().map(|(name, bytes)| (*name, bytes.as_str()));
    let setup = answering("", &answers);
    for (name, _) in answers {
        for method in ["GET", "HEAD"] {
            let response = Request::new(method, &format!("/{name}")).send_to(setup.nginx.port());
            assert_eq!(response.status(), 502, "{method} {name}");
        }
    }
}

#[test]
fn the_largest_content_length_passes() {
    let response = answer("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello");
    assert_eq!(response.header("Content-Length"), Some("9223372036854775807"));
    assert!(!response.complete, "the application closed the connection");
}

#[test]
fn trailers_are_dropped_and_the_body_is_whole() {
    let chunks = "5\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n";
    let bytes = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n{chunks}"
    );
    let setup = answering("", &[("x", &bytes)]);
    let mut client = setup.nginx.connect();
    client.send(Request::get("/x").header("TE", "trailers").bytes("close"));
    let all = String::from_utf8(client.read_to_end()).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.contains("hello"), "{all}");
    assert!(!all.contains("Trailer:") && !all.contains("X-Sum") && !all.contains("a=b"), "{all}");
}

#[test]
fn lenient_response_heads_are_accepted() {
    for (what, bytes) in [
        ("lines end with LF", "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 5\n\nhello"),
        ("no reason", "HTTP/1.1 200\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"),
        ("an empty reason", "HTTP/1.1 200 \r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"),
        ("no space behind the colon", "HTTP/1.1 200 OK\r\nX-A:1\r\nContent-Length:5\r\n\r\nhello"),
        ("blanks around the value", "HTTP/1.1 200 OK\r\nX-A: \t 1 \t\r\nContent-Length:  5 \r\n\r\nhello"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"),
        ("HTTP/1.0 until the end", "HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nhello"),
        ("names in any case", "HTTP/1.1 200 OK\r\nx-A: 1\r\ncONTENT-lENGTH: 5\r\n\r\nhello"),
        (
            "one length twice",
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        ),
        ("an identity encoding", "HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: identity\r\n\r\nhello"),
        (
            "upper-case chunked",
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        ("a Status header", "HTTP/1.1 200 OK\r\nX-A: 1\r\nStatus: 404\r\nContent-Length: 5\r\n\r\nhello"),
        (
            "an interim answer",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello",
        ),
        ("more than its length", "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello, and more"),
    ] {
        let response = answer(bytes).expect(200);
        assert_eq!((response.header("X-A"), response.text().as_str()), (Some("1"), "hello"), "{what}");
    }
}

#[test]
fn statuses_beyond_599_and_unknown_ones_pass() {
    for status in [299, 451, 599, 600, 999] {
        let bytes = format!("HTTP/1.1 {status} As We Like It\r\nContent-Length: 5\r\n\r\nhello");
        let response = answer(&bytes).expect(status);
        let line = String::from_utf8_lossy(&response.head.raw).into_owned();
        assert!(line.starts_with(&format!("HTTP/1.1 {status} As We Like It\r\n")), "{line}");
    }
}

#[test]
fn an_invalid_response_is_a_502() {
    for bytes in [
        "",
        "hello",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 1000 High\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A : blank before the colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: 1\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ] {
        assert_eq!(answer(bytes).status(), 502, "{bytes:?}");
    }
}

#[test]
fn a_header_of_the_connection_may_be_set_and_is_a_warning() {
    let lines = r#"
        passenger_set_header Connection "upgrade";
        passenger_set_header Upgrade $http_upgrade;
        passenger_set_header Keep-Alive 3;
        passenger_set_header TE trailers;
        passenger_set_header Transfer-Encoding gzip;
        passenger_set_header Content-Length 7;
        passenger_set_header Proxy-Connection x;
        passenger_set_header Proxy "";
        passenger_set_header Expect "";
        passenger_set_header Proxy-Authorization own;
        passenger_set_header X-Own own;
    "#;
    let setup = answering(lines, &[("x", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")]);
    let request = Request::get("/x").header("Proxy", "http://evil.test/").header("TE", "x");
    assert_eq!(setup.nginx.send(request).expect(200).text(), "hello");
    let request = std::fs::read_to_string(setup.test_dir.scratch("x.request")).unwrap().to_lowercase();
    for line in ["connection: keep-alive\r\n", "proxy-authorization: own\r\n", "x-own: own\r\n"] {
        assert!(request.contains(line), "{line}{request}");
    }
    for name in
        ["upgrade:", "keep-alive:", "\r\nte:", "encoding:", "length:", "n: x", "\r\nproxy:", "expect:"]
    {
        assert!(!request.contains(name), "{name} {request}");
    }
    let printed = String::from_utf8_lossy(&setup.nginx.test_config().stderr).into_owned();
    for name in ["Connection", "Upgrade", "Keep-Alive", "TE", "Transfer-Encoding", "Content-Length"] {
        let warning = format!("passenger_set_header {name} has no effect: ");
        assert!(printed.contains(&warning), "{warning}{printed}");
    }
    for name in ["Proxy ", "Expect", "Proxy-Authorization", "X-Own"] {
        assert!(!printed.contains(&format!("passenger_set_header {name}")), "{printed}");
    }
}

#[test]
fn a_websocket_configuration_copied_from_proxy_pass_works() {
    let lines = r#"
        passenger_set_header Upgrade $http_upgrade;
        passenger_set_header Connection "upgrade";
    "#;
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nswitched";
    let setup = answering(lines, &[("x", switch)]);
    let mut client = setup.nginx.connect();
    client.send(Request::get("/x").header("Upgrade", "websocket").bytes("Upgrade"));
    let answer = String::from_utf8(client.read_to_end()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nswitched"), "{answer}");
    assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
    let request = std::fs::read_to_string(setup.test_dir.scratch("x.request")).unwrap().to_lowercase();
    assert_eq!(request.matches("\r\nupgrade: websocket\r\n").count(), 1, "{request}");
    assert_eq!(request.matches("\r\nconnection: ").count(), 1, "{request}");
}
