//! The gate: requests, bodies, streams and WebSockets reach applications through it as through nginx.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use test_support::{
    App, Connection, Daemon, Exclusive, Gate, Language, Memory, Request, TestDir, eventually,
    for_each_language, is_root, sha256_of_upload, skipped, upload_file,
};

/// A gate with one app. The fields are in the order in which they are dropped.
pub(crate) struct OneGate {
    pub(crate) gate: Gate,
    pub(crate) daemon: Daemon,
    pub(crate) app: App,
    pub(crate) test_dir: TestDir,
}

impl OneGate {
    /// The standard app of a language.
    pub(crate) fn of(language: Language) -> Self {
        Self::with(language, "", "")
    }

    /// As [`OneGate::of`], with more lines for the app and for `[gate]`.
    pub(crate) fn with(language: Language, lines: &str, gate: &str) -> Self {
        let command =
            if language == Language::Generic { "app_start_command = \"node server.js\"\n" } else { "" };
        Self::custom(|app| app.standard(language), &format!("{command}{lines}"), gate)
    }

    /// The general case.
    pub(crate) fn custom(fill: impl FnOnce(App) -> App, lines: &str, gate: &str) -> Self {
        let test_dir = TestDir::new();
        let app = fill(test_dir.app("app"));
        let daemon = test_dir.daemon().start();
        let gate = test_dir.gate().app(app.dir(), lines).gate(gate).start();
        Self { gate, daemon, app, test_dir }
    }

    /// The PID of the process that answers.
    #[track_caller]
    pub(crate) fn app_pid(&self) -> u32 {
        self.gate.get("/pid").expect(200).text().trim().parse().unwrap()
    }
}

for_each_language! {
    fn requests_reach_the_app(language) {
        let setup = OneGate::of(language);
        let response = setup.gate.get("/").expect(200);
        assert_eq!(response.text().trim(), format!("hello from {}", language.name()));
        assert!(response.header("Server").unwrap().starts_with("flying-passenger-gate/"));
        assert!(response.header("Date").is_some());
        let body = vec![b'x'; 100_000];
        assert_eq!(setup.gate.send(Request::post("/echo", body.clone())).expect(200).body, body);
    }

    fn a_head_has_the_length_and_no_body(language) {
        let setup = OneGate::of(language);
        let mut client = setup.gate.connect();
        client.send(Request::new("HEAD", "/").bytes("keep-alive"));
        assert_eq!(client.read_response_to("HEAD").status(), 200);
        client.send(Request::get("/pid").bytes("keep-alive"));
        client.read_response().expect(200);
    }

    fn a_stream_arrives_while_the_app_still_writes(language) {
        let setup = OneGate::of(language);
        let mut client = setup.gate.connect();
        client.send(Request::get("/sse?name=g").bytes("close"));
        let head = client.read_head();
        assert_eq!(head.status, 200);
        client.read_until("data:");
        setup.test_dir.open_gate("g");
        client.read_until("data:");
    }

    fn an_app_notices_that_its_client_left(language) {
        let setup = OneGate::of(language);
        // The connection to the daemon is then one that was kept.
        setup.app_pid();
        let mut client = setup.gate.connect();
        client.send(Request::get("/endless?name=e").bytes("close"));
        client.read_head();
        client.read_exact(10_000);
        drop(client);
        eventually("the app's end is closed", || setup.test_dir.scratch("e.closed").exists());
    }
}

for_each_language! {
    [ruby, python, node]
    fn two_hundred_megabytes_pass_in_little_memory(language) {
        let lock = Exclusive::lock();
        let setup = OneGate::of(language);
        setup.app_pid();
        let file = upload_file(&lock);
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let output = Command::new("curl")
                .args(["-sS", version, "-T"])
                .arg(&file)
                .arg(format!("http://{}/hash", setup.gate.address()))
                .output()
                .expect("curl is installed");
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(answer.contains(&sha256_of_upload(&lock)), "{version}: {answer} {output:?}");
        }
        let mut client = setup.gate.connect();
        client.send(Request::get("/download?mb=200").bytes("close"));
        let head = client.read_head();
        let mut received = 0;
        assert!(client.read_body(&head, "GET", |part| received += part.len()).unwrap());
        assert_eq!(received, 200 << 20);
        let resident = Memory::resident_kib(setup.gate.pid());
        assert!(resident < 40_000, "{resident} KiB");
    }
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A short frame as clients send it: masked.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let head = [0x80 | opcode, 0x80 | payload.len() as u8];
    head.into_iter().chain(MASK).chain(masked).collect()
}

fn opened(gate: &Gate) -> Connection {
    let mut client = gate.connect();
    client.send(UPGRADE);
    let head = client.read_head();
    assert_eq!(head.status, 101);
    assert_eq!(head.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("Connection"), Some("upgrade"));
    client
}

for_each_language! {
    [node, generic]
    fn a_websocket_passes(language) {
        let setup = OneGate::of(language);
        let mut client = opened(&setup.gate);
        for turn in 0..50 {
            let text = format!("message {turn}");
            client.send(frame(1, text.as_bytes()));
            assert_eq!(client.read_exact(2 + text.len()), [&[0x81, text.len() as u8], text.as_bytes()].concat());
        }
        setup.app_pid();
        client.send(frame(8, b""));
        assert_eq!(client.read_to_end(), [0x88, 0]);
        let mut early = setup.gate.connect();
        early.send([UPGRADE.as_bytes(), &frame(1, b"early")].concat());
        assert_eq!(early.read_head().status, 101);
        assert_eq!(early.read_exact(7), b"\x81\x05early");
    }

    [node, generic]
    fn a_websocket_ends_with_its_client(language) {
        let setup = OneGate::of(language);
        let mut client = opened(&setup.gate);
        client.send(frame(1, b"x"));
        client.read_exact(3);
        drop(client);
        eventually("the app's end is closed", || setup.test_dir.scratch("websocket.closed").exists());
    }
}

#[test]
fn early_hints_reach_clients_that_are_no_proxies() {
    let node = "require('http').createServer((q, r) => { r.writeEarlyHints({ link: '</style.css>; rel=preload' }); \
                r.end('page') }).listen(1)";
    let setup = OneGate::custom(|app| app.node(node), "", "");
    let mut client = setup.gate.connect();
    client.send(Request::get("/").bytes("close"));
    let hints = client.read_head();
    assert_eq!((hints.status, hints.header("link")), (103, Some("</style.css>; rel=preload")));
    assert_eq!(client.read_response().expect(200).text(), "page");
    client = setup.gate.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    let proxied = OneGate::custom(|app| app.node(node), "", "trusted_proxies = [\"127.0.0.1\"]");
    assert_eq!(proxied.gate.get("/").expect(200).text(), "page");
}

#[test]
fn the_unix_socket_serves_as_well() {
    let setup = OneGate::of(Language::Python);
    let mut stream = UnixStream::connect(setup.gate.socket()).unwrap();
    stream.write_all(b"GET /env HTTP/1.0\r\nHost: a.example\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"unix:\""), "{text}");
}

#[test]
fn hosts_and_paths_choose_the_app() {
    let test_dir = TestDir::new();
    let say = |name: &str, text: &str| {
        let source = format!(
            "run ->(env) {{ [200, {{}}, ['{text} ' + env['SCRIPT_NAME'] + ' ' + env['PATH_INFO']]] }}"
        );
        test_dir.app(name).ruby(&source)
    };
    let (main, blog, other) = (say("main", "main"), say("blog", "blog"), say("other", "other"));
    let _daemon = test_dir.daemon().start();
    let gate = test_dir
        .gate()
        .app(main.dir(), "hosts = [\"example.org\", \"*.example.org\"]")
        .app(blog.dir(), "hosts = [\"example.org\"]\npath = \"/blog\"")
        .app(other.dir(), "hosts = [\"other.org\"]\nenv_var = { A = \"b\" }")
        .start();
    let text = |host: &str, path: &str| gate.send(Request::get(path).header("Host", host));
    assert_eq!(text("example.org", "/x").expect(200).text(), "main  /x");
    assert_eq!(text("EXAMPLE.org:81", "/blog/x?y").expect(200).text(), "blog /blog /x");
    assert_eq!(text("www.example.org", "/blog/x").expect(200).text(), "main  /blog/x");
    assert_eq!(text("other.org.", "/").expect(200).text(), "other  /");
    let unknown = text("unknown.org", "/").expect(404);
    assert!(unknown.text().contains("No application is configured for this address"), "{}", unknown.text());
}

#[test]
fn an_app_without_a_daemon_or_files_is_explained() {
    let test_dir = TestDir::new();
    let empty = test_dir.app("empty");
    let mut daemon = test_dir.daemon().start();
    let gate = test_dir.gate().app(empty.dir(), "").start();
    gate.get("/").expect(503);
    gate.logs_eventually(&format!("no application is found in {}", empty.dir().display()));
    let app = test_dir.app("app").standard(Language::Ruby);
    let other = test_dir.gate().app(app.dir(), "").start();
    other.get("/").expect(200);
    daemon.stop();
    assert!(other.get("/").expect(502).text().contains("<h1>Bad Gateway</h1>"));
    other.logs_eventually("cannot connect to flying-passenger at");
}

#[test]
fn mistakes_in_the_file_are_reported_with_their_line() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let output =
        test_dir.gate().app(app.dir(), "min_instances = -1\ncolour = \"red\"").gate("port = 80").output();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    for text in [
        "line 4: unknown option \"port\" in [gate]; the options are listen, ",
        "line 8: invalid value \"-1\" in \"min_instances\": must be a number >= 0",
        "line 9: unknown option \"colour\" in [[apps]]; the options are hosts, ",
    ] {
        assert!(reported.contains(text), "{text} is not in {reported}");
    }
    assert!(!output.status.success());
    let output = test_dir.gate().output();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("no application: add a table [[apps]] to the file of --config"), "{reported}");
}

#[test]
fn the_daemon_checks_the_gates_tables() {
    let test_dir = TestDir::new();
    let good = "[gate]\nlisten = [\"127.0.0.1:1\"]\n[[apps]]\nroot = \"/srv/x\"\n";
    let _daemon = test_dir.daemon().configured(good).start();
    let other = TestDir::new();
    let bad = format!("{good}app_type = \"cobol\"\n");
    let output = other.daemon().configured(&bad).flag("check-config").output();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("invalid value \"cobol\" in \"app_type\": must be one of"), "{reported}");
}

/// Debian creates home directories with this mode. As root, the gate of a test runs as www-data.
#[test]
fn a_closed_directory_is_named_and_a_closed_public_one_hides_its_files() {
    if !is_root() {
        return skipped(
            "a_closed_directory_is_named_and_a_closed_public_one_hides_its_files",
            "it needs a gate of another user",
        );
    }
    let test_dir = TestDir::new();
    let close = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let _daemon = test_dir.daemon().start();
    let home = test_dir.app("home/shop").standard(Language::Ruby);
    close(&test_dir.path("home"), 0o700);
    let gate = test_dir.gate().app(home.dir(), "").start();
    gate.get("/").expect(500);
    gate.logs_eventually(&format!("chmod o+x {}", test_dir.path("home").display()));
    close(&test_dir.path("home"), 0o755);
    let app = test_dir.app("app").standard(Language::Ruby).file("public/a.txt", "a file");
    close(&app.path("public"), 0o700);
    let gate = test_dir.gate().app(app.dir(), "").start();
    assert_eq!(gate.get("/").expect(200).text(), "hello from ruby\n");
    close(&app.path("public"), 0o755);
}
