//! Limits for each app, which protect other apps and the daemon's log.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use test_support::{
    App, FrameClient, Language, OneApp, Request, TestDir, TwoApps, eventually, open_descriptors,
};

const UPGRADE: &str = "GET /bad/chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn a_second_app_of_another_type_under_the_same_name_is_refused() {
    let test_dir = TestDir::new();
    test_dir.app("node").standard(Language::Node);
    let name = "passenger_app_group_name shared;";
    let lines = format!("{name} }} location /node {{ root %%DIR%%/node/public; {name}");
    let setup = TwoApps::on(test_dir, &lines, |daemon| daemon, |app| app.python(FINE));
    setup.nginx.get("/bad/").expect(200);
    setup.nginx.get("/node/").expect(500);
    setup.daemon.logs_eventually(
        "app shared: refused GET /node/: nginx's configuration describes another app of this name, of type python",
    );
    setup.nginx.get("/bad/").expect(200);
    setup.good_app_serves();
}

const FINE: &str = "def application(environ, start_response):
    start_response('200 OK', [])
    return [b'fine']
";

#[test]
fn an_app_that_changes_its_type_answers_every_request_meanwhile() {
    let both = |app: App| app.standard(Language::Python).standard(Language::Node);
    let setup = OneApp::custom("passenger_app_type wsgi;", |daemon| daemon, both);
    let before = setup.app_pid();
    setup.nginx.configure(&test_support::ONE_APP_CONF.replace("%%APP%%", "passenger_app_type node;"));
    setup.nginx.reload();
    eventually("a process of the other type serves", || {
        setup.nginx.get("/pid").expect(200).text().trim() != before.to_string()
    });
}

#[test]
fn clients_cannot_request_out_of_band_work() {
    let setup = OneApp::of(Language::Python);
    let mut client = setup.nginx.connect();
    client.send("OOBW /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.read_response().expect(405);
    setup.app_pid();
}

/// Writes as fast as the client reads, on the connection itself.
const POURS: &str = r#"
const http = require('http');
const pieces = {
    '/bad/interim': 'HTTP/1.1 100 Continue\r\n\r\n',
    '/bad/hints': 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
};
http.createServer((request, response) => {
    const piece = pieces[request.url];
    if (!piece) { response.end('fine'); return; }
    const socket = request.socket;
    socket.on('error', () => {});
    const many = piece.repeat(Math.ceil(65536 / piece.length));
    const pour = () => { while (!socket.destroyed) if (!socket.write(many)) { socket.once('drain', pour); return; } };
    pour();
}).listen(3000);
"#;

#[test]
fn endless_interim_responses_are_a_502() {
    let setup = TwoApps::new("", |daemon| daemon, |app| app.node(POURS));
    for path in ["/bad/interim", "/bad/hints"] {
        let mut client = setup.ask(path);
        loop {
            let head = client.read_head();
            if head.status != 103 {
                assert_eq!(head.status, 502, "{path}");
                break;
            }
        }
    }
    setup.daemon.logs_eventually("it sent too many interim responses (1xx)");
    setup.good_app_serves();
    setup.nginx.get("/bad/").expect(200);
}

/// Sends chunks without end, as fast as they are taken.
const FLOODS: &str = r"
import os, socket, threading
def serve(connection):
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        head += connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    if b'/bad/tiny' in head:
        chunks = b'1\r\nx\r\n' * 200000
    elif b'/bad/extensions' in head:
        chunks = (b'1;' + b'e' * 4000 + b'\r\nx\r\n') * 300
    else:
        return connection.sendall(b'0\r\n\r\n')
    try:
        while True:
            connection.sendall(chunks)
    except OSError:
        pass
listener = socket.create_server(('127.0.0.1', int(os.environ['PORT'])), backlog=100)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

#[test]
fn endless_tiny_chunks_do_not_slow_other_apps_down() {
    let lines = "passenger_app_start_command \"python3 server.py\";";
    let setup = TwoApps::new(lines, |daemon| daemon, |app| app.file("server.py", FLOODS));
    setup.nginx.get("/bad/").expect(200);
    let paths = ["/bad/tiny", "/bad/tiny", "/bad/extensions", "/bad/tiny"];
    let stop = AtomicBool::new(false);
    let read = |path: &str| {
        let mut client = TcpStream::connect(("127.0.0.1", setup.nginx.port())).unwrap();
        client.write_all(&Request::get(path).bytes("close")).unwrap();
        let mut room = vec![0; 1 << 16];
        while !stop.load(Ordering::Relaxed) {
            if client.read(&mut room).unwrap() == 0 {
                break;
            }
        }
    };
    let times = std::thread::scope(|threads| {
        let readers: Vec<_> = paths.iter().map(|path| threads.spawn(|| read(path))).collect();
        let times = forty_requests(&setup);
        assert!(readers.iter().all(|reader| !reader.is_finished()), "an answer has come to an end");
        stop.store(true, Ordering::Relaxed);
        times
    });
    let (slowest, all) = (times.iter().max().unwrap(), times.iter().sum::<Duration>());
    println!("slowest {slowest:?}, all {all:?}");
    assert!(all < Duration::from_secs(4), "40 requests of another app took {all:?}, the slowest {slowest:?}");
}

/// How long each of them took, of the app that does no harm.
fn forty_requests(setup: &TwoApps) -> Vec<Duration> {
    let one = |_| {
        let begin = Instant::now();
        setup.good_app_serves();
        begin.elapsed()
    };
    (0..40).map(one).collect()
}

#[test]
fn tunnels_of_one_app_leave_descriptors_for_others() {
    let setup = TwoApps::new(
        "",
        |daemon| daemon.flag("--core-file-descriptor-ulimit=200"),
        |app| app.standard(Language::Node),
    );
    let open = || {
        let mut client = setup.nginx.connect();
        client.send(UPGRADE);
        let status = client.read_head().status;
        (client, status)
    };
    let mut tunnels = Vec::new();
    let refused = loop {
        let (client, status) = open();
        if status != 101 {
            break status;
        }
        tunnels.push(client);
        assert!(tunnels.len() < 120, "there is no limit");
    };
    assert_eq!(refused, 503);
    assert!(tunnels.len() >= 20, "only {} tunnels", tunnels.len());
    setup.daemon.logs_eventually("it has as many tunnels (WebSockets) as its share of the router's");
    for _ in 0..10 {
        setup.good_app_serves();
        assert_eq!(setup.nginx.get("/bad/").text(), "no route /bad/", "the app answers");
    }
    tunnels.clear();
    eventually("a process may start again", || open().1 == 101);
}

#[test]
fn idle_connections_without_a_hello_are_closed() {
    let setup = OneApp::of(Language::Python);
    setup.app_pid();
    let mut silent: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = UnixStream::connect(setup.test_dir.socket()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
            stream.write_all(b"half").unwrap();
            stream
        })
        .collect();
    for stream in &mut silent {
        // The daemon's first frame is of no interest.
        loop {
            match stream.read(&mut [0; 1024]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => panic!("the daemon does not close it: {why}"),
            }
        }
    }
    setup.daemon.logs_eventually("a frame was not complete within its time limit");
    setup.app_pid();
}

#[test]
fn apps_named_by_clients_expire_and_few_are_logged() {
    let setup = OneApp::of(Language::Python);
    let pid = setup.app_pid();
    let resident = || test_support::Memory::resident_kib(setup.daemon.router());
    let mut nginx = FrameClient::connect(&setup.test_dir.socket());
    let mut ask = |host: usize| {
        let root = setup.test_dir.path(&format!("hosts/{host}"));
        assert_eq!(nginx.get(&root, Language::Python, "/").status, 500);
    };
    (0..5000).for_each(&mut ask);
    let before = resident();
    (5000..12_000).for_each(&mut ask);
    let after = resident();
    assert!(after < before + 4 * 1024, "from {before} to {after} KiB");
    let shown = setup.daemon.status().matches("App root: ").count();
    assert!((500..5_000).contains(&shown), "{shown} of them are shown");
    let log = setup.daemon.log();
    assert!(log.len() < 1_000_000, "{} bytes of log", log.len());
    assert_eq!(log.matches("least recently used of").count(), 8, "{log}");
    assert_eq!(setup.app_pid(), pid);
}

/// Each process leaves a child behind that keeps its output open until the gate is opened.
const LEAVES_A_CHILD: &str = "import os, subprocess
gate = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'gate')
subprocess.Popen(['cat', gate], stdin=subprocess.DEVNULL, start_new_session=True)
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'fine']
";

#[test]
fn outputs_that_outlive_their_processes_are_bounded() {
    let lines = "passenger_max_requests 1; passenger_spawn_method direct;";
    let test_dir = TestDir::new();
    let gate = test_dir.path("bad/gate");
    let setup = TwoApps::on(
        test_dir,
        lines,
        |daemon| daemon,
        |app| {
            nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
            app.python(LEAVES_A_CHILD)
        },
    );
    let router = setup.daemon.router();
    let before = open_descriptors(router);
    for _ in 0..40 {
        setup.nginx.get("/bad/").expect(200);
    }
    eventually("the router closes outputs", || open_descriptors(router) < before + 25);
    setup.daemon.logs_eventually("child processes keep the output of more than 16 ended processes open");
    setup.good_app_serves();
    // Children of processes that are starting find a file in its place; those that wait for it go.
    let waited_for = setup.test_dir.path("bad/waited_for");
    std::fs::rename(&gate, &waited_for).unwrap();
    std::fs::write(&gate, "").unwrap();
    drop(std::fs::OpenOptions::new().write(true).open(&waited_for).unwrap());
}
