//! Failures: no descriptors are left. New connections wait, none is closed, and status and log name the cause.

use test_support::{
    Connection, DaemonBuilder, Language, ONE_APP_CONF, OneApp, Request, TestDir, eventually,
    for_each_language, open_descriptors, stays,
};

const TOLD: &str = "nearly all of the router's 64 file descriptors are in use: connections from nginx wait until some are free";

/// A daemon that may have 64 files open, and an app that answers any number of requests at a time.
fn scarce(lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> OneApp {
    let lines = format!("passenger_max_request_queue_size 0; {lines}");
    OneApp::with(Language::Node, &lines, |daemon| flags(daemon.flag("--core-file-descriptor-ulimit=64")))
}

fn clients(setup: &OneApp, path: &str, count: usize) -> Vec<Connection> {
    let client = |_| {
        let mut client = setup.nginx.connect();
        client.send(Request::get(path).bytes("close"));
        client
    };
    (0..count).map(client).collect()
}

#[test]
fn more_connections_than_descriptors_wait_and_are_answered() {
    let setup = scarce("", |daemon| daemon);
    let pid = setup.app_pid();
    let mut clients = clients(&setup, "/wait?name=gate", 150);
    eventually("the status shows the problem", || {
        setup.daemon.status().contains(&format!("Problem       : {TOLD}"))
    });
    if test_support::is_root() {
        let open = open_descriptors(setup.daemon.router());
        assert!(open < 64, "{open} descriptors are open: none would be left for tools");
    }
    setup.test_dir.open_gate("gate");
    for client in &mut clients {
        assert_eq!(client.read_response().expect(200).text(), pid.to_string());
    }
    eventually("the status shows no problem", || !setup.daemon.status().contains("Problem"));
    let log = setup.daemon.log();
    assert!(log.matches(TOLD).count() <= 4, "beginning and end, and not every connection:\n{log}");
    setup.daemon.logs_eventually(&format!(" s: {TOLD}"));
    assert_eq!(setup.app_pid(), pid, "no process was blamed");
}

#[test]
fn a_lack_of_descriptors_truncates_no_response() {
    let setup = scarce("", |daemon| daemon);
    setup.app_pid();
    let mut clients = clients(&setup, "/download?mb=4", 40);
    // Nobody has read anything until then.
    eventually("descriptors are used up", || setup.daemon.log().contains(TOLD));
    let read = |client: &mut Connection| {
        let response = client.read_response().expect(200);
        assert!(response.complete && response.body.len() == 4 << 20, "{} bytes", response.body.len());
    };
    std::thread::scope(|threads| clients.iter_mut().for_each(|client| drop(threads.spawn(|| read(client)))));
}

#[test]
fn a_start_without_descriptors_fails_and_others_serve() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Python);
    let flags = ["--core-file-descriptor-ulimit=64", "--max-pool-size=40"];
    let daemon = flags.into_iter().fold(test_dir.daemon(), DaemonBuilder::flag).start();
    let lines = "passenger_python /usr/bin/python3; passenger_min_instances 40;";
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", lines)).start();
    nginx.get("/pid").expect(200);
    const TOLD: &str =
        "the daemon has no descriptors left for another process (--core-file-descriptor-ulimit";
    daemon.logs_eventually(TOLD);
    let pids = daemon.app_pids();
    assert!(pids.len() > 3 && pids.len() < 40, "{} processes", pids.len());
    // What the supervisor keeps in reserve is enough for another router.
    daemon.kill_router();
    eventually("it takes over", || nginx.get("/pid").status() == 200);
    assert!(daemon.app_pids().iter().any(|pid| pids.contains(pid)), "processes stay");
    assert!(daemon.log().matches(TOLD).count() < 200, "it does not try all the time");
}

/// Opens files until there is no descriptor left, and waits for a gate. Another request, for whose connection there is none, is
/// answered by the next process.
const PYTHON_LEAK: &str = "import os, resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
def application(environ, start_response):
    if environ['PATH_INFO'] == '/leak':
        try:
            while True:
                os.open('/dev/null', os.O_RDONLY)
        except OSError:
            os.utime('full')
            while os.stat('gate').st_size == 0:
                time.sleep(0.02)
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

const RUBY_LEAK: &str = "Process.setrlimit(:NOFILE, 40, 40)
KEPT = []
run(lambda do |env|
  if env['PATH_INFO'] == '/leak'
    begin
      loop { KEPT << File.open('/dev/null') }
    rescue Errno::EMFILE
      File.utime(Time.now, Time.now, 'full')
      sleep 0.02 while File.size('gate').zero?
    end
  end
  [200, {}, [Process.pid.to_s]]
end)
";

for_each_language! {
    [ruby, python]
    fn an_app_without_descriptors_finishes_its_requests(language) {
        let lines = "passenger_concurrency_model thread; passenger_thread_count 4; passenger_max_instances 1;
            passenger_python /usr/bin/python3;";
        let setup = OneApp::app(lines, |app| {
            let app = app.file("gate", "").file("full", "");
            let app = if language == Language::Ruby { app.ruby(RUBY_LEAK) } else { app.python(PYTHON_LEAK) };
            if test_support::is_root() { app.owned_by("games") } else { app }
        });
        let pid = setup.nginx.get("/").expect(200).text().to_owned();
        let full = setup.app.path("full");
        std::fs::File::options().write(true).open(&full).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let ask = |path: &str| {
            let mut client = setup.nginx.connect();
            client.send(Request::get(path).bytes("close"));
            client
        };
        let mut leaking = ask("/leak");
        eventually("its descriptors are used up", || {
            std::fs::metadata(&full).unwrap().modified().unwrap() != std::time::UNIX_EPOCH
        });
        let mut others: Vec<_> = (0..3).map(|_| ask("/")).collect();
        stays("the process lives", std::time::Duration::from_millis(500), || {
            test_support::is_alive(pid.parse().unwrap())
        });
        std::fs::write(setup.app.path("gate"), "open").unwrap();
        assert_eq!(leaking.read_response().expect(200).text(), pid);
        for other in &mut others {
            other.read_response().expect(200);
        }
        eventually("another process serves", || setup.nginx.get("/").expect(200).text() != pid);
    }
}
