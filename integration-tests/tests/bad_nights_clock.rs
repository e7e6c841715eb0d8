//! Bad nights: the clock is set. No process ends or starts, and no start times out, because of that.

use std::time::Duration;

use stage::{
    App, Language, ONE_APP, Request, Scene, ShiftedClock, Stage, eventually, is_root, skipped, stays,
};

const DAY: i64 = 24 * 3600;

/// An app, nginx and daemon that look at a clock of the test's.
fn clocked(test: &str, lines: &str, fill: impl FnOnce(App) -> App) -> Option<(Scene, ShiftedClock)> {
    if !is_root() {
        skipped(test, "only root can put a library before the router's");
        return None;
    }
    let stage = Stage::new();
    let clock = ShiftedClock::new(&stage);
    let app = fill(stage.app("app"));
    let daemon = stage.daemon().flag("--stat-throttle-rate=0").preloading(clock.library()).start();
    let nginx = stage.nginx(&conf(lines)).variable("LD_PRELOAD", clock.library()).start();
    Some((Scene { nginx, daemon, app, stage }, clock))
}

fn conf(lines: &str) -> String {
    ONE_APP.replace("%%APP%%", lines)
}

/// What an app sees of the clock, which shows that it is set.
fn days_off(scene: &Scene) -> i64 {
    let there: i64 = scene.nginx.get("/now").expect(200).text().parse().unwrap();
    let here = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed();
    (there - here + DAY / 2).div_euclid(DAY)
}

const PYTHON: &str = "import os, time
def application(environ, start_response):
    while environ['PATH_INFO'] == '/wait' and not os.path.exists('go'):
        time.sleep(0.02)
    start_response('200 OK', [])
    return [str(int(time.time()) if environ['PATH_INFO'] == '/now' else os.getpid()).encode()]
";

/// The process of the app as it is shown.
fn shown(scene: &Scene) -> serde_json::Value {
    let output = scene.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&output).unwrap();
    shown["groups"][0]["processes"][0].clone()
}

#[test]
fn figures_and_idle_processes_do_not_mind_a_clock_that_jumps() {
    let Some((scene, clock)) = clocked(
        "figures_and_idle_processes_do_not_mind_a_clock_that_jumps",
        "passenger_max_request_queue_time 30; passenger_max_request_time 60;",
        |app| app.python(PYTHON),
    ) else {
        return;
    };
    let pid = scene.app_pid();
    for days in [3, -3, 20_000, -10_000, 0] {
        let mut client = scene.nginx.connect();
        client.send(Request::get("/wait").bytes("close"));
        eventually("a request is under way", || shown(&scene)["sessions"] == 1);
        clock.jump_to(days * DAY);
        let process = shown(&scene);
        let number = |key: &str| process[key].as_u64().unwrap();
        assert!(number("uptime") < 300 && number("last_used") < 300 && number("cpu") <= 200, "{process}");
        let requests = scene.daemon.tool("passenger-status", &["--show=server"]).stdout;
        let requests: serde_json::Value = serde_json::from_slice(&requests).unwrap();
        assert!(requests["requests"][0]["age_ms"].as_u64().unwrap() < 300_000, "{requests}");
        scene.app.write("go", "");
        assert_eq!(client.read_response().expect(200).text(), pid.to_string());
        std::fs::remove_file(scene.app.path("go")).unwrap();
        assert_eq!(days_off(&scene), days, "the clock is set");
        stays("the process is the same", Duration::from_millis(300), || scene.app_pid() == pid);
    }
    assert_eq!(scene.daemon.app_pids(), [pid]);
    // It rains no restarts, and touching the file is still one.
    scene.app.touch_restart_txt();
    eventually("it is restarted", || scene.app_pid() != pid);
}

#[test]
fn a_start_under_way_does_not_mind_a_clock_that_jumps() {
    let slow = format!("import os, time\nwhile not os.path.exists('start'): time.sleep(0.02)\n{PYTHON}");
    let lines = "passenger_start_timeout 60;";
    let Some((scene, clock)) =
        clocked("a_start_under_way_does_not_mind_a_clock_that_jumps", lines, |app| app.python(&slow))
    else {
        return;
    };
    for days in [2, -2] {
        let mut client = scene.nginx.connect();
        client.send(Request::get("/pid").bytes("close"));
        eventually("it starts", || scene.daemon.status().contains("(spawning 1 new process...)"));
        clock.jump_to(days * DAY);
        stays("it goes on to", Duration::from_millis(300), || {
            scene.daemon.status().contains("(spawning 1 new process...)")
        });
        scene.app.write("start", "");
        let pid: u32 = client.read_response().expect(200).text().parse().unwrap();
        std::fs::remove_file(scene.app.path("start")).unwrap();
        let told = scene.daemon.tool("passenger-config", &["detach-process", &pid.to_string()]);
        assert!(told.status.success(), "{told:?}");
        eventually("it has gone", || !stage::is_alive(pid));
    }
    let metrics = scene.daemon.tool("passenger-config", &["api-call", "GET", "/metrics"]).stdout;
    let metrics = String::from_utf8(metrics).unwrap();
    let sum = metrics.lines().find(|line| line.starts_with("flying_passenger_spawn_seconds_sum")).unwrap();
    let seconds: f64 = sum.rsplit(' ').next().unwrap().parse().unwrap();
    let count =
        metrics.lines().find(|line| line.starts_with("flying_passenger_spawn_seconds_count")).unwrap();
    assert!((0.0..300.0).contains(&seconds) && count.ends_with(" 2"), "{sum}\n{count}");
}

#[test]
fn a_configuration_from_before_the_clock_was_set_back_does_not_stay_in_charge() {
    let Some((scene, clock)) =
        clocked("a_configuration_from_before_the_clock_was_set_back_does_not_stay_in_charge", "", |app| {
            app.standard(Language::Python)
        })
    else {
        return;
    };
    let settled = |size: usize| {
        let http = format!("%%HTTP%% passenger_max_pool_size {size};");
        scene.nginx.configure(&conf("").replace("%%HTTP%%", &http));
        scene.nginx.reload();
        eventually("the configuration counts", || {
            scene.app_pid();
            scene.daemon.status().contains(&format!("Max pool size : {size}\n"))
        });
    };
    scene.app_pid();
    for (days, size) in [(5, 3), (0, 4), (-5, 5), (0, 6)] {
        clock.jump_to(days * DAY);
        settled(size);
    }
}

#[test]
fn a_router_that_is_replaced_after_a_jump_knows_how_old_processes_are() {
    let Some((scene, clock)) =
        clocked("a_router_that_is_replaced_after_a_jump_knows_how_old_processes_are", "", |app| {
            app.python(PYTHON)
        })
    else {
        return;
    };
    let pid = scene.app_pid();
    clock.jump_to(400 * DAY);
    scene.daemon.kill_router();
    assert_eq!(scene.app_pid(), pid);
    assert!(shown(&scene)["uptime"].as_u64().unwrap() < 300, "{}", shown(&scene));
}

#[test]
fn a_restart_file_from_the_future_restarts_once_and_counts_when_it_is_touched_again() {
    let lines = "passenger_min_instances 1;";
    let scene = Scene::with(Language::Python, lines, |daemon| daemon.flag("--stat-throttle-rate=0"));
    let touch = |when: std::time::SystemTime| {
        scene.app.touch_restart_txt();
        let file = std::fs::File::options().write(true).open(scene.app.path("tmp/restart.txt")).unwrap();
        file.set_modified(when).unwrap();
    };
    let mut pid = scene.app_pid();
    let now = std::time::SystemTime::now();
    let hour = Duration::from_secs(3600);
    for when in [now + hour, now, now + hour, now - hour] {
        touch(when);
        eventually("it is restarted", || scene.app_pid() != pid);
        pid = scene.app_pid();
        stays("it is restarted once", Duration::from_millis(300), || scene.app_pid() == pid);
    }
}
