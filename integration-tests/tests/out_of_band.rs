//! Out-of-band work: an app postpones work until no request waits.

use test_support::{OneApp, Request, eventually};

/// Asks for out-of-band work at `/ask`. The work lasts until there is a file `go-on`, and is logged.
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

fn setups(lines: &str, daemon: &[&str]) -> Vec<OneApp> {
    let flags = |mut builder: test_support::DaemonBuilder| {
        for flag in daemon {
            builder = builder.flag(flag);
        }
        builder
    };
    let of = |name: &str, text: &str| OneApp::custom(lines, flags, |app| app.file(name, text));
    vec![of("config.ru", RUBY), of("passenger_wsgi.py", PYTHON)]
}

/// The answer's PID; the header that asked for the work is not the visitor's.
fn ask(setup: &OneApp) -> String {
    let answer = setup.nginx.get("/ask").expect(200);
    assert_eq!(answer.header("!~Request-OOB-Work"), None);
    assert_eq!(answer.header("X-Passenger-Request-OOB-Work"), None);
    answer.text()
}

#[test]
fn a_process_works_while_another_serves() {
    for setup in setups("", &[]) {
        let asking = ask(&setup);
        setup.daemon.logs_eventually(&format!("works: {asking}"));
        for _ in 0..5 {
            assert_ne!(setup.nginx.get("/").expect(200).text(), asking, "it gets no visitor meanwhile");
        }
        setup.app.write("go-on", "");
        setup.daemon.logs_eventually(&format!("worked: {asking}"));
        eventually("it serves again", || setup.nginx.get("/").text() == asking);
        assert_eq!(
            setup.daemon.log().matches(" works: ").count(),
            1,
            "it works once for each time that it asks"
        );
    }
}

#[test]
fn processes_of_an_app_work_one_after_the_other() {
    for setup in setups("passenger_min_instances 2;", &[]) {
        let first = ask(&setup);
        setup.daemon.logs_eventually(&format!("works: {first}"));
        let second = ask(&setup);
        assert_ne!(first, second);
        assert_eq!(setup.nginx.get("/").expect(200).text(), second, "it serves until it is its turn");
        setup.app.write("go-on", "");
        setup.daemon.logs_eventually(&format!("worked: {second}"));
        let log = setup.daemon.log();
        let at = |text: String| log.find(&text).expect("it is there");
        assert!(at(format!("worked: {first}")) < at(format!("works: {second}")));
    }
}

#[test]
fn a_process_that_must_stay_alone_does_not_work() {
    for setup in setups("", &["--max-pool-size=1"]) {
        setup.app.write("go-on", "");
        let pid = ask(&setup);
        for _ in 0..5 {
            assert_eq!(setup.nginx.get("/").expect(200).text(), pid);
        }
        assert!(!setup.daemon.log().contains("works: "));
    }
}

#[test]
fn a_restart_waits_for_the_work() {
    for setup in setups("", &[]) {
        let pid = ask(&setup);
        setup.daemon.logs_eventually(&format!("works: {pid}"));
        let root = setup.app.dir().display().to_string();
        assert!(setup.daemon.tool("passenger-config", &["restart-app", &root]).status.success());
        assert_ne!(setup.nginx.get("/").expect(200).text(), pid);
        let number = pid.parse().unwrap();
        assert!(test_support::is_alive(number), "it is in the middle of its work");
        setup.app.write("go-on", "");
        setup.daemon.logs_eventually(&format!("worked: {pid}"));
        eventually("it exits after it", || !test_support::is_alive(number));
    }
}

#[test]
fn a_client_cannot_order_out_of_band_work() {
    for setup in setups("", &[]) {
        let request =
            Request::new("OOBW", "/").header("Passenger.oob_work", "1").header("Passenger-Oob-Work", "1");
        setup.nginx.send(request).expect(405);
        assert!(!setup.daemon.log().contains("works: "));
    }
}

#[test]
fn work_that_fails_costs_nothing() {
    let failing = RUBY.replace("sleep 0.01 until File.exist?('go-on')", "raise 'out of cheese'");
    let setup = OneApp::app("", |app| app.ruby(&failing));
    let pid = ask(&setup);
    setup.daemon.logs_eventually("out of cheese");
    eventually("it serves again", || setup.nginx.get("/").expect(200).text() == pid);
    let failing = PYTHON
        .replace("while not os.path.exists('go-on'): time.sleep(0.01)", "raise ValueError('out of cheese')");
    let setup = OneApp::app("", |app| app.python(&failing));
    let pid = ask(&setup);
    setup.daemon.logs_eventually("did not do its out-of-band work: it failed: ValueError: out of cheese");
    eventually("it serves again", || setup.nginx.get("/").expect(200).text() == pid);
}

#[test]
fn a_process_that_ends_at_its_work_is_replaced() {
    for setup in setups("", &[]) {
        let pid = ask(&setup);
        setup.daemon.logs_eventually(&format!("works: {pid}"));
        test_support::kill_9(pid.parse().unwrap());
        setup.daemon.logs_eventually(&format!("process {pid} was killed"));
        setup.nginx.get("/").expect(200);
    }
}
