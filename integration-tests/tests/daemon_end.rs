//! Graceful shutdown: active and waiting requests finish, apps are notified, no process is left, within one time limit.

use std::fs;

use nix::sys::signal::Signal;
use stage::{Connection, Language, Request, Scene, eventually, for_each_language};

fn ask(scene: &Scene, path: &str) -> Connection {
    let mut client = scene.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

/// An app that leaves a sign when it ends in order.
fn teller(language: Language) -> (&'static str, &'static str) {
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
    fn an_app_is_told_that_it_ends(language) {
        let (file, source) = teller(language);
        let lines = language.directives();
        let mut scene = Scene::app(lines, |app| app.file(file, source));
        scene.app_pid();
        let told = scene.stage.scratch("told");
        assert!(!told.exists());
        assert!(scene.daemon.stop().success());
        assert!(told.exists(), "it has heard of its end");
    }
}

#[test]
fn requests_under_way_and_requests_that_wait_are_answered_before_the_end() {
    let mut scene = Scene::with(Language::Python, "", |daemon| daemon.flag("--max-pool-size=1"));
    let pid = scene.app_pid();
    let mut first = ask(&scene, "/wait?name=gate");
    eventually("it is under way", || scene.stage.scratch("gate.arrived").exists());
    let mut waiting: Vec<_> = (0..5).map(|_| ask(&scene, "/pid")).collect();
    eventually("others wait", || scene.daemon.status().contains("Requests in queue: 5"));
    scene.daemon.signal(Signal::SIGTERM);
    scene.daemon.logs_eventually("shutting down: 6 requests in progress");
    scene.stage.open_gate("gate");
    assert_eq!(first.read_response().expect(200).text(), pid.to_string());
    for client in &mut waiting {
        assert_eq!(client.read_response().expect(200).text(), pid.to_string());
    }
    assert!(scene.daemon.await_end().success());
}

#[test]
fn an_answer_for_a_slow_client_is_given_whole_before_the_end() {
    let mut scene = Scene::of(Language::Ruby);
    scene.app_pid();
    let mut slow = ask(&scene, "/download?mb=24");
    let head = slow.read_head();
    scene.daemon.signal(Signal::SIGTERM);
    scene.daemon.logs_eventually("shutting down: 1 requests in progress");
    let mut len = 0;
    assert!(slow.read_body(&head, "GET", |part| len += part.len()).unwrap());
    assert_eq!(len, 24 << 20);
    assert!(scene.daemon.await_end().success());
}

#[test]
fn what_does_not_finish_has_one_limit_and_not_one_for_each_step() {
    // Neither its request ends, nor the process when it is asked to stop.
    let ruby = "at_exit { sleep }
        run ->(env) { sleep if env['PATH_INFO'] == '/hang'; [200, {}, [Process.pid.to_s]] }";
    let mut scene = Scene::set("", |daemon| daemon.flag("--shutdown-timeout=2"), |app| app.ruby(ruby));
    let pid = scene.app_pid();
    let _hangs = ask(&scene, "/hang");
    eventually("it is under way", || scene.daemon.status().contains("Sessions: 1 "));
    assert!(scene.daemon.stop().success());
    let log = scene.daemon.log();
    assert!(log.contains("1 requests did not finish within 2 s"), "{log}");
    assert!(!log.contains("the router has not finished in time"), "the router keeps to the limit:\n{log}");
    let killed = |line: &str| line.contains(&format!("process {pid} ")) && line.contains("killed");
    assert!(log.lines().any(killed), "{log}");
    scene.stage.expect_log_line(&scene.stage.socket().display().to_string());
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let mut scene = Scene::of(Language::Python);
        scene.app_pid();
        let _hangs = ask(&scene, "/wait?name=never");
        eventually("it is under way", || scene.stage.scratch("never.arrived").exists());
        scene.daemon.signal(Signal::SIGTERM);
        scene.daemon.logs_eventually("shutting down: 1 requests in progress");
        scene.daemon.signal(second);
        assert_eq!(scene.daemon.await_end().code(), Some(1));
        let left: Vec<_> = fs::read_dir(scene.stage.path("registry")).unwrap().collect();
        assert!(left.is_empty() && !scene.stage.socket().exists(), "{left:?}");
        // nginx asks once more when the answer did not come, and finds nobody.
        scene.stage.expect_log_line(&scene.stage.socket().display().to_string());
    }
}
