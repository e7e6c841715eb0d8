//! Out-of-band work: an app postpones work until no request waits.

use stage::{Request, Scene, eventually};

/// Asks for out-of-band work at `/ask`. The work lasts until there is a file `go-on`, and tells the log of itself.
const RUBY: &str = r#"
PhusionPassenger.on_event(:oob_work) do
  warn "works: #{Process.pid}"
  sleep 0.01 until File.exist?('go-on')
  warn "worked: #{Process.pid}"
end
run lambda { |env|
  headers = env['PATH_INFO'] == '/ask' ? { '!~Request-OOB-Work' => 'true' } : {}
  [200, headers, [Process.pid.to_s]]
}
"#;

const PYTHON: &str = r#"
import os, sys, time
def application(environ, start_response):
    if environ.get('passenger.oob_work'):
        print(f"works: {os.getpid()}", environ['REQUEST_METHOD'], file=sys.stderr, flush=True)
        while not os.path.exists('go-on'): time.sleep(0.01)
        print(f"worked: {os.getpid()}", file=sys.stderr, flush=True)
        start_response('200 OK', [])
        return [b'']
    asks = environ['PATH_INFO'] == '/ask'
    start_response('200 OK', [('X-Passenger-Request-OOB-Work', 'true')] if asks else [])
    return [str(os.getpid()).encode()]
"#;

fn scenes(lines: &str, daemon: &[&str]) -> Vec<Scene> {
    let flags = |mut builder: stage::DaemonBuilder| {
        for flag in daemon {
            builder = builder.flag(flag);
        }
        builder
    };
    let of = |name: &str, text: &str| Scene::set(lines, flags, |app| app.file(name, text));
    vec![of("config.ru", RUBY), of("passenger_wsgi.py", PYTHON)]
}

/// The answer's PID; the header that asked for the work is not the visitor's.
fn ask(scene: &Scene) -> String {
    let answer = scene.nginx.get("/ask").expect(200);
    assert_eq!(answer.header("!~Request-OOB-Work"), None);
    assert_eq!(answer.header("X-Passenger-Request-OOB-Work"), None);
    answer.text()
}

#[test]
fn a_process_works_while_another_serves() {
    for scene in scenes("", &[]) {
        let asking = ask(&scene);
        scene.daemon.logs_eventually(&format!("works: {asking}"));
        for _ in 0..5 {
            assert_ne!(scene.nginx.get("/").expect(200).text(), asking, "it gets no visitor meanwhile");
        }
        scene.app.write("go-on", "");
        scene.daemon.logs_eventually(&format!("worked: {asking}"));
        eventually("it serves again", || scene.nginx.get("/").text() == asking);
        assert_eq!(
            scene.daemon.log().matches(" works: ").count(),
            1,
            "it works once for each time that it asks"
        );
    }
}

#[test]
fn processes_of_an_app_work_one_after_the_other() {
    for scene in scenes("passenger_min_instances 2;", &[]) {
        let first = ask(&scene);
        scene.daemon.logs_eventually(&format!("works: {first}"));
        let second = ask(&scene);
        assert_ne!(first, second);
        assert_eq!(scene.nginx.get("/").expect(200).text(), second, "it serves until it is its turn");
        scene.app.write("go-on", "");
        scene.daemon.logs_eventually(&format!("worked: {second}"));
        let log = scene.daemon.log();
        let at = |text: String| log.find(&text).expect("it is there");
        assert!(at(format!("worked: {first}")) < at(format!("works: {second}")));
    }
}

#[test]
fn a_process_that_must_stay_alone_does_not_work() {
    for scene in scenes("", &["--max-pool-size=1"]) {
        scene.app.write("go-on", "");
        let pid = ask(&scene);
        for _ in 0..5 {
            assert_eq!(scene.nginx.get("/").expect(200).text(), pid);
        }
        assert!(!scene.daemon.log().contains("works: "));
    }
}

#[test]
fn a_restart_waits_for_the_work() {
    for scene in scenes("", &[]) {
        let pid = ask(&scene);
        scene.daemon.logs_eventually(&format!("works: {pid}"));
        let root = scene.app.dir().display().to_string();
        assert!(scene.daemon.tool("passenger-config", &["restart-app", &root]).status.success());
        assert_ne!(scene.nginx.get("/").expect(200).text(), pid);
        let number = pid.parse().unwrap();
        assert!(stage::is_alive(number), "it is in the middle of its work");
        scene.app.write("go-on", "");
        scene.daemon.logs_eventually(&format!("worked: {pid}"));
        eventually("it goes after it", || !stage::is_alive(number));
    }
}

#[test]
fn a_visitor_cannot_order_it() {
    for scene in scenes("", &[]) {
        let request =
            Request::new("OOBW", "/").header("Passenger.oob_work", "1").header("Passenger-Oob-Work", "1");
        scene.nginx.send(request).expect(405);
        assert!(!scene.daemon.log().contains("works: "));
    }
}

#[test]
fn work_that_fails_costs_nothing() {
    let failing = RUBY.replace("sleep 0.01 until File.exist?('go-on')", "raise 'out of cheese'");
    let scene = Scene::app("", |app| app.ruby(&failing));
    let pid = ask(&scene);
    scene.daemon.logs_eventually("out of cheese");
    eventually("it serves again", || scene.nginx.get("/").expect(200).text() == pid);
    let failing = PYTHON
        .replace("while not os.path.exists('go-on'): time.sleep(0.01)", "raise ValueError('out of cheese')");
    let scene = Scene::app("", |app| app.python(&failing));
    let pid = ask(&scene);
    scene.daemon.logs_eventually("did not do its out-of-band work: it failed: ValueError: out of cheese");
    eventually("it serves again", || scene.nginx.get("/").expect(200).text() == pid);
}

#[test]
fn a_process_that_ends_at_its_work_is_replaced() {
    for scene in scenes("", &[]) {
        let pid = ask(&scene);
        scene.daemon.logs_eventually(&format!("works: {pid}"));
        stage::kill_9(pid.parse().unwrap());
        scene.daemon.logs_eventually(&format!("process {pid} was killed"));
        scene.nginx.get("/").expect(200);
    }
}
