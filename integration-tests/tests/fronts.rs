//! Other web servers in front of the gate, each with the configuration of its page in docs/fronts: requests, an upload of
//! 200 MB, WebSockets and server-sent events, before and after restarts of the web server and of the gate.

use std::fs::File;
use std::io::Read;

use test_support::{
    App, Change, Connection, Daemon, Exclusive, Front, Gate, Language, Request, TestDir, UPLOAD_LEN,
    WebServer, eventually, sha256_of_upload, upload_file,
};

const HOST: &str = "example.org";

/// An application behind the gate behind a web server. The fields are in the order in which they are dropped.
struct Site {
    front: Front,
    gate: Gate,
    _daemon: Daemon,
    _app: App,
    test_dir: TestDir,
}

impl Site {
    fn of(server: WebServer) -> Self {
        Self::with(server, "trusted_proxies = [\"unix:\", \"127.0.0.1\"]", |page, _| page.to_owned())
    }

    /// With these lines in `[gate]`, and a changed configuration of the page.
    fn with(server: WebServer, lines: &str, change: Change) -> Self {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(Language::Node);
        let daemon = test_dir.daemon().start();
        let gate = test_dir.gate().gate(lines).app(app.dir(), &format!("hosts = [\"{HOST}\"]")).start();
        let front = test_dir.front(server, &gate, change);
        let site = Self { front, gate, _daemon: daemon, _app: app, test_dir };
        site.wait_for_front();
        site
    }

    fn get(&self, path: &str) -> String {
        Request::get(path).header("Host", HOST).send_to(self.front.port()).expect(200).text()
    }

    /// Traefik listens before it has read its routes.
    fn wait_for_front(&self) {
        let status = || Request::get("/pid").header("Host", HOST).send_to(self.front.port()).status();
        eventually("the web server forwards requests", || status() == 200);
    }

    fn start_front_again(&mut self) {
        self.front.start_again();
        self.wait_for_front();
    }
}

fn check(server: WebServer) {
    let mut site = Site::of(server);
    let pid = site.get("/pid");
    the_request_arrives_unchanged(&site);
    a_client_cannot_choose_address_or_host(&site);
    an_upload_arrives(&site);
    events_arrive_at_once(&site, "before");
    websocket_echoes(&site);

    site.front.stop();
    site.start_front_again();
    assert_eq!(site.get("/pid"), pid, "after a restart of the web server");
    websocket_echoes(&site);

    site.front.kill_9();
    site.start_front_again();
    assert_eq!(site.get("/pid"), pid, "after SIGKILL of the web server");
    events_arrive_at_once(&site, "after");

    site.gate.restart();
    assert_eq!(site.get("/pid"), pid, "after a restart of the gate");
    site.gate.kill();
    site.gate.start_again();
    assert_eq!(site.get("/pid"), pid, "after SIGKILL of the gate");
}

#[test]
fn apache() {
    check(WebServer::Apache);
}

#[test]
fn caddy() {
    check(WebServer::Caddy);
}

#[test]
fn haproxy() {
    check(WebServer::Haproxy);
}

#[test]
fn traefik() {
    check(WebServer::Traefik);
}

#[test]
fn envoy() {
    check(WebServer::Envoy);
}

#[test]
fn nginx() {
    check(WebServer::Nginx);
}

#[test]
fn traefik_by_http2() {
    let site = Site::with(WebServer::Traefik, "trusted_proxies = [\"127.0.0.1\"]", |page, _| {
        page.replace("url: http://", "url: h2c://")
    });
    the_request_arrives_unchanged(&site);
    an_upload_arrives(&site);
    events_arrive_at_once(&site, "http2");
}

#[test]
fn haproxy_names_the_client_by_the_proxy_protocol() {
    let lines = "trusted_proxies = [\"unix:\"]\nproxy_protocol = true";
    let site = Site::with(WebServer::Haproxy, lines, |page, blocks| {
        let begin = page.find("    server gate ").expect("the page has a server");
        page[..begin].to_owned() + &blocks[1]
    });
    let forged = Request::get("/env").header("Host", HOST).header("X-Forwarded-For", "192.0.2.1");
    let headers = headers_at_app(&forged.send_to(site.front.port()).expect(200).json());
    let addresses: Vec<_> = headers.iter().filter(|(name, _)| name == "x-forwarded-for").collect();
    assert_eq!(addresses.last().map(|(_, value)| value.as_str()), Some("127.0.0.1"), "{headers:?}");
}

/// What a client sends about itself and the host is not believed.
fn a_client_cannot_choose_address_or_host(site: &Site) {
    let mut client = Connection::from_address("127.0.0.9", site.front.port());
    client.send(format!(
        "GET /env HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: other.example\r\nX-Forwarded-Port: 666\r\nConnection: close\r\n\r\n"
    ));
    let env = client.read_response().expect(200).json();
    let headers = headers_at_app(&env);
    let all = |name: &str| {
        let same = headers.iter().filter(|(each, _)| each == name).map(|(_, value)| value.as_str());
        same.collect::<Vec<_>>().join(", ")
    };
    let addresses = all("x-forwarded-for");
    assert!(addresses.ends_with(", 127.0.0.9") || addresses == "127.0.0.9", "{addresses}");
    assert_eq!(all("x-forwarded-proto"), "http");
    assert!(is_host(site, Some(&all("host"))), "{headers:?}");
}

/// Whether this is the site's host, possibly with the port of the web server.
fn is_host(site: &Site, host: Option<&str>) -> bool {
    let with_port = format!("{HOST}:{}", site.front.port());
    host.is_some_and(|host| host == HOST || host == with_port)
}

/// The headers of a request as the application receives them, by lower-case name.
fn headers_at_app(env: &serde_json::Value) -> Vec<(String, String)> {
    let raw: Vec<String> = serde_json::from_value(env["raw"].clone()).unwrap();
    raw.chunks(2).map(|pair| (pair[0].to_lowercase(), pair[1].clone())).collect()
}

fn the_request_arrives_unchanged(site: &Site) {
    let request = Request::get("/env?a=%2F&b=%20c").header("Host", HOST).header("X-Own", "kept");
    let env = request.send_to(site.front.port()).expect(200).json();
    assert_eq!(env["url"], "/env?a=%2F&b=%20c");
    let headers = headers_at_app(&env);
    let value = |name: &str| headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str());
    assert!(is_host(site, value("host")), "{headers:?}");
    assert_eq!(value("x-own"), Some("kept"));
    assert_eq!(value("x-forwarded-proto"), Some("http"));
    let missing =
        Request::get("/a%2Fb%3Fc").header("Host", HOST).send_to(site.front.port()).expect(404).text();
    assert_eq!(missing, "no route /a%2Fb%3Fc", "an encoded slash stays encoded");
}

fn an_upload_arrives(site: &Site) {
    let lock = Exclusive::lock();
    let expected = format!("{} {UPLOAD_LEN}", sha256_of_upload(&lock));
    let mut client = Connection::to(site.front.port());
    client.send(format!("POST /hash HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {UPLOAD_LEN}\r\n\r\n"));
    let mut file = File::open(upload_file(&lock)).unwrap();
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part).unwrap() {
            0 => break,
            len => client.send(&part[..len]),
        };
    }
    assert_eq!(client.read_response_to("POST").expect(200).text(), expected);
}

/// The first event must arrive while the application waits before the second one.
fn events_arrive_at_once(site: &Site, gate: &str) {
    let mut client = Connection::to(site.front.port());
    client.send(format!("GET /sse?name={gate} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
    assert_eq!(client.read_head().status, 200);
    client.read_until("data: 1\n\n");
    site.test_dir.open_gate(gate);
    client.read_until("data: 2\n\n");
}

fn websocket_echoes(site: &Site) {
    let mut client = Connection::to(site.front.port());
    client.send(format!(
        "GET /chat HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ));
    assert_eq!(client.read_head().status, 101);
    for turn in 0..20 {
        let text = format!("message {turn}");
        client.send(frame(1, text.as_bytes()));
        assert_eq!(client.read_exact(2 + text.len()), [&[0x81, text.len() as u8], text.as_bytes()].concat());
    }
    client.send(frame(8, b""));
    let mut end = client.read_to_end();
    end.truncate(2);
    assert_eq!(end, [0x88, 0]);
}

/// A masked frame of a client, with a mask of zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}
