//! Bad nights: what goes wrong around the daemon costs nobody else's visitors anything, and status and log say what it is.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use stage::{Language, ONE_APP, Request, Scene, Stage, eventually, is_root, skipped};

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

/// A file system of one MiB, gone at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Self {
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "no small disk");
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that has failed may still hold its log.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_disk_under_the_log_stops_nobody() {
    if !is_root() {
        return skipped("a_full_disk_under_the_log_stops_nobody", "only root can mount a small disk");
    }
    let disk = SmallDisk::mount(std::env::temp_dir().join(format!("fp-small-{}", std::process::id())));
    let log = disk.0.join("daemon.log");
    let scene =
        Scene::with(Language::Ruby, "", |daemon| daemon.flag(&format!("--log-file={}", log.display())));
    let pid = scene.app_pid();
    let _ = std::fs::write(disk.0.join("filler"), vec![0; 2 << 20]);
    let length = || std::fs::metadata(&log).unwrap().len();
    let full = length();
    for _ in 0..50 {
        assert_eq!(scene.app_pid(), pid);
    }
    scene.daemon.tool("passenger-config", &["restart-app", &scene.app.dir().display().to_string()]);
    assert_ne!(scene.app_pid(), pid, "apps start and stop while nothing can be logged");
    assert!(length() <= full.next_multiple_of(4096), "the disk was full");
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    let still = length();
    scene.daemon.tool("passenger-config", &["restart-app", &scene.app.dir().display().to_string()]);
    scene.app_pid();
    eventually("the log goes on", || length() > still);
}
