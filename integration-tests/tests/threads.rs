//! `passenger_concurrency_model thread`: concurrent requests in one process.

use std::thread;

use stage::{App, Language, Load, Request, Scene, eventually, for_each_language};

const THREADS: &str = "passenger_concurrency_model thread; passenger_thread_count 4; passenger_env_var SCRATCH %%STAGE%%/scratch; passenger_python /usr/bin/python3;";

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

fn scene(language: Language, lines: &str) -> Scene {
    Scene::app(&format!("{THREADS} {lines}"), |to| app(language, to))
}

fn ask(scene: &Scene, path: &'static str) -> thread::JoinHandle<(u16, String)> {
    let port = scene.nginx.port();
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
    fn requests_meet_in_one_process(language) {
        for method in ["direct", "smart"] {
            let lines = format!("passenger_max_instances 1; passenger_spawn_method {method};");
            let scene = scene(language, &lines);
            let pid = scene.app_pid().to_string();
            let met = all((0..4).map(|_| ask(&scene, "/meet?4")).collect());
            assert_eq!(met, vec![(200, pid); 4], "{method}");
        }
    }

    [ruby, python]
    fn one_request_more_goes_to_another_process(language) {
        let scene = scene(language, "passenger_max_instances 2;");
        let first = scene.app_pid();
        let four: Vec<_> = (0..4).map(|_| ask(&scene, "/meet?5")).collect();
        eventually("four are inside", || scene.daemon.status().contains("Sessions: 4"));
        let other = scene.app_pid();
        assert_ne!(other, first);
        assert_eq!(ask(&scene, "/meet?1").join().unwrap(), (200, other.to_string()));
        stage::kill_9(first);
        assert!(all(four).iter().all(|(status, _)| *status == 502), "they were in the killed process");
    }

    [ruby, python]
    fn what_one_request_does_is_not_the_others_business(language) {
        let scene = scene(language, "passenger_max_instances 1;");
        let pid = scene.app_pid();
        let waiting: Vec<_> = (0..3).map(|_| ask(&scene, "/meet?4")).collect();
        eventually("three are inside", || scene.daemon.status().contains("Sessions: 3"));
        for _ in 0..10 {
            assert_eq!(scene.nginx.get("/raise").status(), 502);
        }
        assert_eq!(scene.app_pid(), pid);
        assert_eq!(ask(&scene, "/meet?4").join().unwrap().0, 200);
        assert_eq!(all(waiting), vec![(200, pid.to_string()); 3]);
    }

    [ruby, python]
    fn the_next_router_knows_of_the_threads(language) {
        let scene = scene(language, "passenger_max_instances 1;");
        let pid = scene.app_pid().to_string();
        scene.daemon.kill_router();
        assert_eq!(all((0..4).map(|_| ask(&scene, "/meet?4")).collect()), vec![(200, pid); 4]);
    }

    [ruby, python]
    fn rolling_restarts_under_load_lose_no_request(language) {
        let scene = scene(language, "passenger_rolling_restarts on; passenger_min_instances 2; passenger_max_instances 2;");
        scene.app_pid();
        let load = Load::on(scene.nginx.port(), "/", 16);
        for _ in 0..4 {
            load.let_pass(100);
            let restarted = scene.daemon.tool("passenger-config", &["restart-app", "/", "--wait"]);
            assert!(restarted.status.success(), "{restarted:?}");
        }
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    }

    [ruby, python]
    fn another_number_of_threads_replaces_the_processes(language) {
        let scene = scene(language, "passenger_max_instances 1;");
        let first = scene.app_pid();
        let lines = THREADS.replace("count 4", "count 6") + " passenger_max_instances 1;";
        scene.nginx.configure(&stage::ONE_APP.replace("%%APP%%", &lines));
        scene.nginx.reload();
        eventually("another process answers", || scene.app_pid() != first);
        let pid = scene.app_pid().to_string();
        assert_eq!(all((0..6).map(|_| ask(&scene, "/meet?6")).collect()), vec![(200, pid); 6]);
    }

    [ruby, python]
    fn a_busy_process_with_threads_ends_in_an_orderly_way(language) {
        let mut scene = scene(language, "passenger_max_instances 1;");
        let pid = scene.app_pid();
        let waiting: Vec<_> = (0..3).map(|_| ask(&scene, "/gate")).collect();
        eventually("three are inside", || scene.daemon.status().contains("Sessions: 3"));
        let (log, gate) = (scene.stage.path("daemon.log"), scene.stage.scratch("go"));
        let opener = thread::spawn(move || {
            let is_stopping = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("3 requests in progress"));
            eventually("the daemon is about to stop", is_stopping);
            std::fs::write(gate, "").unwrap();
        });
        assert!(scene.daemon.stop().success());
        opener.join().unwrap();
        assert_eq!(all(waiting), vec![(200, pid.to_string()); 3]);
        assert!(!scene.daemon.log().contains("did not end"), "{}", scene.daemon.log());
    }
}
