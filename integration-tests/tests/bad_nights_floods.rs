//! Bad nights: floods. Too much of something costs nobody else's visitors anything, and status and log say what it is.

use std::os::unix::net::UnixStream;

use stage::{Language, ONE_APP, Request, Scene, Stage, eventually};

#[test]
fn a_flood_at_the_tools_socket_takes_nothing_from_visitors() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    let path = scene.daemon.admin_socket();
    let before = stage::open_descriptors(scene.daemon.router());
    // They say nothing, and stay.
    let mut flood: Vec<_> = (0..2000).filter_map(|_| UnixStream::connect(&path).ok()).collect();
    assert!(flood.len() > 1500, "only {} got in", flood.len());
    assert_eq!(scene.app_pid(), pid);
    eventually("the router has closed most of them", || {
        stage::open_descriptors(scene.daemon.router()) < before + 100
    });
    assert_eq!(scene.app_pid(), pid);
    // The same user has its places back when they are free.
    flood.clear();
    eventually("tools are answered", || scene.daemon.tool("passenger-status", &[]).status.success());
}

#[test]
fn an_app_that_floods_its_standard_error_takes_nothing_from_another() {
    let flood = "import sys, threading
line = 'x' * 1000 + '\\n'
def pour():
    for _ in range(32 * 1024):
        sys.stderr.write(line)
def application(environ, start_response):
    if environ['PATH_INFO'] == '/flood/pour':
        threading.Thread(target=pour).start()
    start_response('200 OK', [])
    return [b'pouring']
";
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    stage.app("flood").file("passenger_wsgi.py", flood).file("public/.keep", "");
    let daemon = stage.daemon().start();
    let location = "location /flood { root %%STAGE%%/flood/public; }";
    let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", location)).start();
    let pid = nginx.get("/pid").expect(200).text().to_owned();
    nginx.get("/flood").expect(200);
    let log = || std::fs::metadata(stage.path("daemon.log")).unwrap().len();
    let quiet = log();
    nginx.get("/flood/pour").expect(200);
    eventually("it pours", || log() > quiet + (1 << 20));
    let mut answers = 0;
    while log() < quiet + (32 << 20) {
        assert_eq!(nginx.get("/pid").expect(200).text(), pid);
        answers += 1;
    }
    assert!(answers > 0, "visitors were answered while it poured");
    assert!(stage::Memory::resident_kib(daemon.router()) < 64 * 1024, "the router keeps none of it");
}

#[test]
fn a_thousand_requests_wait_in_line_and_are_served() {
    let stage = Stage::new();
    stage.app("app").standard(Language::Python);
    let daemon = stage.daemon().flag("--max-pool-size=1").start();
    let conf = ONE_APP.replace("worker_connections 512", "worker_connections 4096");
    let nginx = stage.nginx(&conf.replace("%%APP%%", "passenger_max_request_queue_size 0;")).start();
    nginx.get("/pid").expect(200);
    let mut first = nginx.connect();
    first.send(Request::get("/wait?name=gate").bytes("close"));
    eventually("the process is busy", || daemon.status().contains("Sessions: 1 "));
    let mut waiting: Vec<_> = (0..1000)
        .map(|_| {
            let mut client = nginx.connect();
            client.send(Request::get("/pid").bytes("close"));
            client
        })
        .collect();
    eventually("all of them wait", || daemon.status().contains("Requests in queue: 1000"));
    let shown = daemon.tool("passenger-status", &["--show=server"]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(shown["requests"].as_array().unwrap().len(), 1001);
    stage.open_gate("gate");
    first.read_response().expect(200);
    for client in &mut waiting {
        client.read_response().expect(200);
    }
}
