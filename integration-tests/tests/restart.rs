//! Restarting an app loses no request.

use stage::{Language, Load, Scene, eventually, for_each_language};

for_each_language! {
    fn restarts_when_restart_txt_is_touched(language) {
        let scene = Scene::with(language, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
        let first = scene.app_pid();
        assert_eq!(scene.app_pid(), first);
        scene.app.touch_restart_txt();
        let second = scene.app_pid();
        assert_ne!(second, first, "the request that notices is answered by a new process");
        assert_eq!(scene.app_pid(), second, "once");
        scene.app.touch_restart_txt();
        assert_ne!(scene.app_pid(), second);
    }

    fn loses_no_request_when_restarted_under_load(language) {
        let scene = Scene::of(language);
        let first = scene.app_pid();
        let load = Load::on(scene.nginx.port(), "/", 4);
        load.let_pass(50);
        for _ in 0..3 {
            let output = scene.daemon.tool("passenger-config", &["restart-app", scene.app.dir().to_str().unwrap()]);
            assert!(output.status.success(), "{output:?}");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("Restarting") && said.contains(scene.app.dir().to_str().unwrap()), "{said}");
            load.let_pass(50);
        }
        eventually("the first process has gone", || !stage::is_alive(first));
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    }
}

#[test]
fn loses_no_request_when_restart_txt_is_touched_under_load() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
    let first = scene.app_pid();
    let load = Load::on(scene.nginx.port(), "/", 4);
    for _ in 0..5 {
        load.let_pass(50);
        scene.app.touch_restart_txt();
    }
    load.let_pass(50);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    assert_ne!(scene.app_pid(), first);
}

#[test]
fn restart_files_count_without_a_request_where_they_are_watched() {
    let lines = "passenger_watch_restart_files on;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon.flag("--stat-throttle-rate=0"));
    let first = scene.app_pid();
    scene.app.touch_restart_txt();
    eventually("another process is there, although nobody has asked for anything", || {
        let now = scene.daemon.app_pids();
        now.len() == 1 && now[0] != first
    });
}

#[test]
fn a_restart_txt_from_before_the_daemon_is_no_restart() {
    let scene = Scene::set(
        "",
        |daemon| daemon.flag("--stat-throttle-rate=0"),
        |app| app.standard(Language::Ruby).file("tmp/restart.txt", ""),
    );
    let first = scene.app_pid();
    assert_eq!(scene.app_pid(), first);
    assert_eq!(scene.app_pid(), first);
}

#[test]
fn always_restart_txt_restarts_each_time() {
    let scene = Scene::with(Language::Python, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
    scene.app.write("tmp/always_restart.txt", "");
    let first = scene.app_pid();
    let second = scene.app_pid();
    assert_ne!(first, second);
    std::fs::remove_file(scene.app.path("tmp/always_restart.txt")).unwrap();
    let third = scene.app_pid();
    assert_eq!(scene.app_pid(), third);
}

#[test]
fn restart_app_finds_groups_by_name_and_refuses_unknown_ones() {
    let lines = "passenger_app_group_name shop;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon);
    let first = scene.app_pid();
    let restart = |args: &[&str]| {
        let args: Vec<&str> = ["restart-app"].into_iter().chain(args.iter().copied()).collect();
        scene.daemon.tool("passenger-config", &args)
    };
    assert!(restart(&["--name", "shop"]).status.success());
    eventually("another process answers", || scene.app_pid() != first);
    for args in [&["--name", "sho"][..], &["/no/such/app"], &[]] {
        assert_eq!(restart(args).status.code(), Some(1), "{args:?}");
    }
    assert_eq!(restart(&["/no/such/app", "--ignore-app-not-running"]).status.code(), Some(0));
}

#[test]
fn a_failed_restart_is_an_error_page_and_then_heals() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
    scene.app_pid();
    let good = std::fs::read_to_string(scene.app.path("config.ru")).unwrap();
    scene.app.write("config.ru", "raise 'a bad deployment'");
    scene.app.touch_restart_txt();
    assert_eq!(scene.nginx.get("/").status(), 500);
    scene.app.write("config.ru", good);
    scene.app_pid();
}
