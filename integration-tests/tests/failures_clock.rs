//! Failures: the clock is set. No process ends or starts, and no start times out, because of that.

use std::time::Duration;

use test_support::{
    App, Language, ONE_APP_CONF, OneApp, Request, ShiftedClock, TestDir, eventually, is_root, skipped, stays,
};

const DAY: i64 = 24 * 3600;

/// An app, nginx and daemon that look at a clock of the test's.
fn preloading_clock(
    test: &str,
    lines: &str,
    fill: impl FnOnce(App) -> App,
) -> Option<(OneApp, ShiftedClock)> {
    if !is_root() {
        skipped(test, "only root can put a library before the router's");
        return None;
    }
    let test_dir = TestDir::new();
    let clock = ShiftedClock::new(&test_dir);
    let app = fill(test_dir.app("app"));
    let daemon = test_dir.daemon().flag("--stat-throttle-rate=0").preloading(clock.library()).start();
    let nginx = test_dir.nginx(&conf(lines)).variable("LD_PRELOAD", clock.library()).start();
    Some((OneApp { nginx, daemon, app, test_dir }, clock))
}

fn conf(lines: &str) -> String {
    ONE_APP_CONF.replace("%%APP%%", lines)
}

/// What an app sees of the clock, which shows that it is set.
fn days_off(setup: &OneApp) -> i64 {
    let there: i64 = setup.nginx.get("/now").expect(200).text().parse().unwrap();
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
fn shown(setup: &OneApp) -> serde_json::Value {
    let output = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&output).unwrap();
    shown["groups"][0]["processes"][0].clone()
}

#[test]
fn clock_jumps_do_not_affect_metrics_and_idle_processes() {
    let Some((setup, clock)) = preloading_clock(
        "clock_jumps_do_not_affect_metrics_and_idle_processes",
        "passenger_max_request_queue_time 30; passenger_max_request_time 60;",
        |app| app.python(PYTHON),
    ) else {
        return;
    };
    let pid = setup.app_pid();
    for days in [3, -3, 20_000, -10_000, 0] {
        let mut client = setup.nginx.connect();
        client.send(Request::get("/wait").bytes("close"));
        eventually("a request is active", || shown(&setup)["sessions"] == 1);
        clock.jump_to(days * DAY);
        let process = shown(&setup);
        let number = |key: &str| process[key].as_u64().unwrap();
        assert!(number("uptime") < 300 && number("last_used") < 300 && number("cpu") <= 200, "{process}");
        let requests = setup.daemon.tool("passenger-status", &["--show=server"]).stdout;
        let requests: serde_json::Value = serde_json::from_slice(&requests).unwrap();
        assert!(requests["requests"][0]["age_ms"].as_u64().unwrap() < 300_000, "{requests}");
        setup.app.write("go", "");
        assert_eq!(client.read_response().expect(200).text(), pid.to_string());
        std::fs::remove_file(setup.app.path("go")).unwrap();
        assert_eq!(days_off(&setup), days, "the clock is set");
        stays("the process is the same", Duration::from_millis(300), || setup.app_pid() == pid);
    }
    assert_eq!(setup.daemon.app_pids(), [pid]);
    // It rains no restarts, and touching the file is still one.
    setup.app.touch_restart_txt();
    eventually("it is restarted", || setup.app_pid() != pid);
}

#[test]
fn clock_jumps_do_not_affect_a_running_start() {
    let slow = format!("import os, time\nwhile not os.path.exists('start'): time.sleep(0.02)\n{PYTHON}");
    let lines = "passenger_start_timeout 60;";
    let Some((setup, clock)) =
        preloading_clock("clock_jumps_do_not_affect_a_running_start", lines, |app| app.python(&slow))
    else {
        return;
    };
    for days in [2, -2] {
        let mut client = setup.nginx.connect();
        client.send(Request::get("/pid").bytes("close"));
        eventually("it starts", || setup.daemon.status().contains("(spawning 1 new process...)"));
        clock.jump_to(days * DAY);
        stays("it continues", Duration::from_millis(300), || {
            setup.daemon.status().contains("(spawning 1 new process...)")
        });
        setup.app.write("start", "");
        let pid: u32 = client.read_response().expect(200).text().parse().unwrap();
        std::fs::remove_file(setup.app.path("start")).unwrap();
        let reported = setup.daemon.tool("passenger-config", &["detach-process", &pid.to_string()]);
        assert!(reported.status.success(), "{reported:?}");
        eventually("it has gone", || !test_support::is_alive(pid));
    }
    let metrics = setup.daemon.tool("passenger-config", &["api-call", "GET", "/metrics"]).stdout;
    let metrics = String::from_utf8(metrics).unwrap();
    let sum = metrics.lines().find(|line| line.starts_with("flying_passenger_spawn_seconds_sum")).unwrap();
    let seconds: f64 = sum.rsplit(' ').next().unwrap().parse().unwrap();
    let count =
        metrics.lines().find(|line| line.starts_with("flying_passenger_spawn_seconds_count")).unwrap();
    assert!((0.0..300.0).contains(&seconds) && count.ends_with(" 2"), "{sum}\n{count}");
}

#[test]
fn a_configuration_dated_in_the_future_is_superseded() {
    let Some((setup, clock)) =
        preloading_clock("a_configuration_dated_in_the_future_is_superseded", "", |app| {
            app.standard(Language::Python)
        })
    else {
        return;
    };
    let settled = |size: usize| {
        let http = format!("%%HTTP%% passenger_max_pool_size {size};");
        setup.nginx.configure(&conf("").replace("%%HTTP%%", &http));
        setup.nginx.reload();
        eventually("the configuration applies", || {
            setup.app_pid();
            setup.daemon.status().contains(&format!("Max pool size : {size}\n"))
        });
    };
    setup.app_pid();
    for (days, size) in [(5, 3), (0, 4), (-5, 5), (0, 6)] {
        clock.jump_to(days * DAY);
        settled(size);
    }
}

#[test]
fn a_new_router_knows_process_ages_after_a_clock_jump() {
    let Some((setup, clock)) =
        preloading_clock("a_new_router_knows_process_ages_after_a_clock_jump", "", |app| app.python(PYTHON))
    else {
        return;
    };
    let pid = setup.app_pid();
    clock.jump_to(400 * DAY);
    setup.daemon.kill_router();
    assert_eq!(setup.app_pid(), pid);
    assert!(shown(&setup)["uptime"].as_u64().unwrap() < 300, "{}", shown(&setup));
}

#[test]
fn a_restart_file_dated_in_the_future_restarts_once_per_touch() {
    let lines = "passenger_min_instances 1;";
    let setup = OneApp::with(Language::Python, lines, |daemon| daemon.flag("--stat-throttle-rate=0"));
    let touch = |when: std::time::SystemTime| {
        setup.app.touch_restart_txt();
        let file = std::fs::File::options().write(true).open(setup.app.path("tmp/restart.txt")).unwrap();
        file.set_modified(when).unwrap();
    };
    let mut pid = setup.app_pid();
    let now = std::time::SystemTime::now();
    let hour = Duration::from_secs(3600);
    for when in [now + hour, now, now + hour, now - hour] {
        touch(when);
        eventually("it is restarted", || setup.app_pid() != pid);
        pid = setup.app_pid();
        stays("it is restarted once", Duration::from_millis(300), || setup.app_pid() == pid);
    }
}
