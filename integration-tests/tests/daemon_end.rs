//! Graceful shutdown: active and waiting requests finish, apps are notified, no process is left, within one time limit.

use std::fs;

use nix::sys::signal::Signal;
use test_support::{Connection, Language, OneApp, Request, eventually, for_each_language};

fn ask(setup: &OneApp, path: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

/// An app that leaves a sign when it ends in order.
fn reporter(language: Language) -> (&'static str, &'static str) {
    match language {
        Language::Ruby => (
            "config.ru",
            "at_exit { File.write('scratch/told', '') }\nrun ->(env) { [200, {}, [Process.pid.to_s]] }\n",
        ),
        Language::Python => (
            "passenger_wsgi.py",
            "import atexit, os
atexit.register(lambda: open('scratch/told', 'w').close())
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
",
        ),
        Language::Node => ("app.js", TELLER),
        Language::Generic => ("server.js", TELLER),
    }
}

const TELLER: &str = "const http = require('http');
http.createServer((req, res) => res.end(String(process.pid))).listen(process.env.PORT || 'passenger');
process.on('exit', () => require('fs').writeFileSync('scratch/told', ''));
process.on('SIGTERM', () => process.exit(0));
";

for_each_language! {
    fn an_app_is_notified_of_its_shutdown(language) {
        let (file, source) = reporter(language);
        let lines = language.directives();
        let mut setup = OneApp::app(lines, |app| app.file(file, source));
        setup.app_pid();
        let reported = setup.test_dir.scratch("told");
        assert!(!reported.exists());
        assert!(setup.daemon.stop().success());
        assert!(reported.exists(), "it was notified of its end");
    }
}

#[test]
fn active_and_queued_requests_are_served_before_shutdown() {
    let mut setup = OneApp::with(Language::Python, "", |daemon| daemon.flag("--max-pool-size=1"));
    let pid = setup.app_pid();
    let mut first = ask(&setup, "/wait?name=gate");
    eventually("it is active", || setup.test_dir.scratch("gate.arrived").exists());
    let mut waiting: Vec<_> = (0..5).map(|_| ask(&setup, "/pid")).collect();
    eventually("other requests wait", || setup.daemon.status().contains("Requests in queue: 5"));
    setup.daemon.signal(Signal::SIGTERM);
    setup.daemon.logs_eventually("shutting down: 6 requests in progress");
    setup.test_dir.open_gate("gate");
    assert_eq!(first.read_response().expect(200).text(), pid.to_string());
    for client in &mut waiting {
        assert_eq!(client.read_response().expect(200).text(), pid.to_string());
    }
    assert!(setup.daemon.await_end().success());
}

#[test]
fn a_slow_client_gets_its_whole_response_before_shutdown() {
    let mut setup = OneApp::of(Language::Ruby);
    setup.app_pid();
    let mut slow = ask(&setup, "/download?mb=24");
    let head = slow.read_head();
    setup.daemon.signal(Signal::SIGTERM);
    setup.daemon.logs_eventually("shutting down: 1 requests in progress");
    let mut len = 0;
    assert!(slow.read_body(&head, "GET", |part| len += part.len()).unwrap());
    assert_eq!(len, 24 << 20);
    assert!(setup.daemon.await_end().success());
}

#[test]
fn shutdown_has_one_time_limit_for_all_steps() {
    // Neither its request ends, nor the process when it is asked to stop.
    let ruby = "at_exit { sleep }
        run ->(env) { sleep if env['PATH_INFO'] == '/hang'; [200, {}, [Process.pid.to_s]] }";
    let mut setup = OneApp::custom("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| app.ruby(ruby));
    let pid = setup.app_pid();
    let _hangs = ask(&setup, "/hang");
    eventually("it is active", || setup.daemon.status().contains("Sessions: 1 "));
    assert!(setup.daemon.stop().success());
    let log = setup.daemon.log();
    assert!(log.contains("1 requests did not finish within 2 s"), "{log}");
    assert!(!log.contains("the router has not finished in time"), "the router keeps to the limit:\n{log}");
    let killed = |line: &str| line.contains(&format!("process {pid} ")) && line.contains("killed");
    assert!(log.lines().any(killed), "{log}");
    setup.test_dir.expect_log_line(&setup.test_dir.socket().display().to_string());
}

#[test]
fn a_second_signal_stops_everything_at_once() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let mut setup = OneApp::of(Language::Python);
        setup.app_pid();
        let _hangs = ask(&setup, "/wait?name=never");
        eventually("it is active", || setup.test_dir.scratch("never.arrived").exists());
        setup.daemon.signal(Signal::SIGTERM);
        setup.daemon.logs_eventually("shutting down: 1 requests in progress");
        setup.daemon.signal(second);
        assert_eq!(setup.daemon.await_end().code(), Some(1));
        let left: Vec<_> = fs::read_dir(setup.test_dir.path("registry")).unwrap().collect();
        assert!(left.is_empty() && !setup.test_dir.socket().exists(), "{left:?}");
        // nginx tries once more when there is no response, and finds no listener.
        setup.test_dir.expect_log_line(&setup.test_dir.socket().display().to_string());
    }
}
