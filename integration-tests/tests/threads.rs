//! `passenger_concurrency_model thread`: concurrent requests in one process.

use std::thread;

use test_support::{App, Language, Load, OneApp, Request, eventually, for_each_language};

const THREADS: &str = "passenger_concurrency_model thread; passenger_thread_count 4; passenger_env_var SCRATCH %%DIR%%/scratch; passenger_python /usr/bin/python3;";

/// `/meet` answers when so many requests are inside at a time, with the PID.
const RUBY: &str = r#"
INSIDE = Queue.new
run lambda { |env|
  case env['PATH_INFO']
  when '/meet'
    INSIDE << 1
    sleep 0.005 until INSIDE.size >= env['QUERY_STRING'].to_i
    [200, {}, [Process.pid.to_s]]
  when '/gate'
    sleep 0.005 until File.exist?(ENV['SCRATCH'] + '/go')
    [200, {}, [Process.pid.to_s]]
  when '/raise' then raise 'out of cheese'
  when '/exit' then exit! 3
  else
    Thread.current[:seen] = (Thread.current[:seen] || []) << env['QUERY_STRING']
    [200, {}, [Process.pid.to_s]]
  end
}
"#;

const PYTHON: &str = r#"
import os, threading, time
inside, lock = 0, threading.Lock()
def application(env, start):
    global inside
    path = env["PATH_INFO"]
    if path == "/meet":
        with lock:
            inside += 1
        while inside < int(env["QUERY_STRING"]):
            time.sleep(0.005)
    elif path == "/gate":
        while not os.path.exists(os.environ["SCRATCH"] + "/go"):
            time.sleep(0.005)
    elif path == "/raise":
        raise RuntimeError("out of cheese")
    elif path == "/exit":
        os._exit(3)
    start("200 OK", [])
    return [str(os.getpid()).encode()]
"#;

fn app(language: Language, app: App) -> App {
    if language == Language::Ruby { app.ruby(RUBY) } else { app.python(PYTHON) }
}

fn setup(language: Language, lines: &str) -> OneApp {
    OneApp::app(&format!("{THREADS} {lines}"), |to| app(language, to))
}

fn ask(setup: &OneApp, path: &'static str) -> thread::JoinHandle<(u16, String)> {
    let port = setup.nginx.port();
    thread::spawn(move || {
        let answer = Request::get(path).send_to(port);
        (answer.status(), answer.text())
    })
}

fn all(asked: Vec<thread::JoinHandle<(u16, String)>>) -> Vec<(u16, String)> {
    asked.into_iter().map(|one| one.join().unwrap()).collect()
}

for_each_language! {
    [ruby, python]
    fn concurrent_requests_share_one_process(language) {
        for method in ["direct", "smart"] {
            let lines = format!("passenger_max_instances 1; passenger_spawn_method {method};");
            let setup = setup(language, &lines);
            let pid = setup.app_pid().to_string();
            let met = all((0..4).map(|_| ask(&setup, "/meet?4")).collect());
            assert_eq!(met, vec![(200, pid); 4], "{method}");
        }
    }

    [ruby, python]
    fn one_request_more_goes_to_another_process(language) {
        let setup = setup(language, "passenger_max_instances 2;");
        let first = setup.app_pid();
        let four: Vec<_> = (0..4).map(|_| ask(&setup, "/meet?5")).collect();
        eventually("four requests are in the app", || setup.daemon.status().contains("Sessions: 4"));
        let other = setup.app_pid();
        assert_ne!(other, first);
        assert_eq!(ask(&setup, "/meet?1").join().unwrap(), (200, other.to_string()));
        test_support::kill_9(first);
        assert!(all(four).iter().all(|(status, _)| *status == 502), "they were in the killed process");
    }

    [ruby, python]
    fn threads_do_not_affect_each_other(language) {
        let setup = setup(language, "passenger_max_instances 1;");
        let pid = setup.app_pid();
        let waiting: Vec<_> = (0..3).map(|_| ask(&setup, "/meet?4")).collect();
        eventually("three requests are in the app", || setup.daemon.status().contains("Sessions: 3"));
        for _ in 0..10 {
            assert_eq!(setup.nginx.get("/raise").status(), 502);
        }
        assert_eq!(setup.app_pid(), pid);
        assert_eq!(ask(&setup, "/meet?4").join().unwrap().0, 200);
        assert_eq!(all(waiting), vec![(200, pid.to_string()); 3]);
    }

    [ruby, python]
    fn a_new_router_keeps_the_number_of_threads(language) {
        let setup = setup(language, "passenger_max_instances 1;");
        let pid = setup.app_pid().to_string();
        setup.daemon.kill_router();
        assert_eq!(all((0..4).map(|_| ask(&setup, "/meet?4")).collect()), vec![(200, pid); 4]);
    }

    [ruby, python]
    fn rolling_restarts_under_load_lose_no_request(language) {
        let setup = setup(language, "passenger_rolling_restarts on; passenger_min_instances 2; passenger_max_instances 2;");
        setup.app_pid();
        let load = Load::on(setup.nginx.port(), "/", 16);
        for _ in 0..4 {
            load.let_pass(100);
            let restarted = setup.daemon.tool("passenger-config", &["restart-app", "/", "--wait"]);
            assert!(restarted.status.success(), "{restarted:?}");
        }
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    }

    [ruby, python]
    fn a_changed_number_of_threads_replaces_the_processes(language) {
        let setup = setup(language, "passenger_max_instances 1;");
        let first = setup.app_pid();
        let lines = THREADS.replace("count 4", "count 6") + " passenger_max_instances 1;";
        setup.nginx.configure(&test_support::ONE_APP_CONF.replace("%%APP%%", &lines));
        setup.nginx.reload();
        eventually("another process answers", || setup.app_pid() != first);
        let pid = setup.app_pid().to_string();
        assert_eq!(all((0..6).map(|_| ask(&setup, "/meet?6")).collect()), vec![(200, pid); 6]);
    }

    [ruby, python]
    fn a_busy_process_with_threads_ends_gracefully(language) {
        let mut setup = setup(language, "passenger_max_instances 1;");
        let pid = setup.app_pid();
        let waiting: Vec<_> = (0..3).map(|_| ask(&setup, "/gate")).collect();
        eventually("three requests are in the app", || setup.daemon.status().contains("Sessions: 3"));
        let (log, gate) = (setup.test_dir.path("daemon.log"), setup.test_dir.scratch("go"));
        let opener = thread::spawn(move || {
            let is_stopping = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("3 requests in progress"));
            eventually("the daemon is shutting down", is_stopping);
            std::fs::write(gate, "").unwrap();
        });
        assert!(setup.daemon.stop().success());
        opener.join().unwrap();
        assert_eq!(all(waiting), vec![(200, pid.to_string()); 3]);
        assert!(!setup.daemon.log().contains("did not end"), "{}", setup.daemon.log());
    }
}
