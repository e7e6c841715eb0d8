//! Restarting an app loses no request.

use test_support::{Language, Load, OneApp, eventually, for_each_language};

for_each_language! {
    fn restarts_when_restart_txt_is_touched(language) {
        let setup = OneApp::with(language, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
        let first = setup.app_pid();
        assert_eq!(setup.app_pid(), first);
        setup.app.touch_restart_txt();
        let second = setup.app_pid();
        assert_ne!(second, first, "the request that notices is answered by a new process");
        assert_eq!(setup.app_pid(), second, "once");
        setup.app.touch_restart_txt();
        assert_ne!(setup.app_pid(), second);
    }

    fn loses_no_request_when_restarted_under_load(language) {
        let setup = OneApp::of(language);
        let first = setup.app_pid();
        let load = Load::on(setup.nginx.port(), "/", 4);
        load.let_pass(50);
        for _ in 0..3 {
            let output = setup.daemon.tool("passenger-config", &["restart-app", setup.app.dir().to_str().unwrap()]);
            assert!(output.status.success(), "{output:?}");
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(printed.contains("Restarting") && printed.contains(setup.app.dir().to_str().unwrap()), "{printed}");
            load.let_pass(50);
        }
        eventually("the first process has gone", || !test_support::is_alive(first));
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    }
}

#[test]
fn loses_no_request_when_restart_txt_is_touched_under_load() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
    let first = setup.app_pid();
    let load = Load::on(setup.nginx.port(), "/", 4);
    for _ in 0..5 {
        load.let_pass(50);
        setup.app.touch_restart_txt();
    }
    load.let_pass(50);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    assert_ne!(setup.app_pid(), first);
}

#[test]
fn watched_restart_files_need_no_request() {
    let lines = "passenger_watch_restart_files on;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon.flag("--stat-throttle-rate=0"));
    let first = setup.app_pid();
    setup.app.touch_restart_txt();
    eventually("another process runs without a request", || {
        let now = setup.daemon.app_pids();
        now.len() == 1 && now[0] != first
    });
}

#[test]
fn a_restart_txt_older_than_the_daemon_restarts_nothing() {
    let setup = OneApp::custom(
        "",
        |daemon| daemon.flag("--stat-throttle-rate=0"),
        |app| app.standard(Language::Ruby).file("tmp/restart.txt", ""),
    );
    let first = setup.app_pid();
    assert_eq!(setup.app_pid(), first);
    assert_eq!(setup.app_pid(), first);
}

#[test]
fn always_restart_txt_restarts_each_time() {
    let setup = OneApp::with(Language::Python, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
    setup.app.write("tmp/always_restart.txt", "");
    let first = setup.app_pid();
    let second = setup.app_pid();
    assert_ne!(first, second);
    std::fs::remove_file(setup.app.path("tmp/always_restart.txt")).unwrap();
    let third = setup.app_pid();
    assert_eq!(setup.app_pid(), third);
}

#[test]
fn restart_app_finds_groups_by_name_and_refuses_unknown_ones() {
    let lines = "passenger_app_group_name shop;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon);
    let first = setup.app_pid();
    let restart = |args: &[&str]| {
        let args: Vec<&str> = ["restart-app"].into_iter().chain(args.iter().copied()).collect();
        setup.daemon.tool("passenger-config", &args)
    };
    assert!(restart(&["--name", "shop"]).status.success());
    eventually("another process answers", || setup.app_pid() != first);
    for args in [&["--name", "sho"][..], &["/no/such/app"], &[]] {
        assert_eq!(restart(args).status.code(), Some(1), "{args:?}");
    }
    assert_eq!(restart(&["/no/such/app", "--ignore-app-not-running"]).status.code(), Some(0));
}

#[test]
fn a_failed_restart_shows_an_error_until_it_is_fixed() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--stat-throttle-rate=0"));
    setup.app_pid();
    let good = std::fs::read_to_string(setup.app.path("config.ru")).unwrap();
    setup.app.write("config.ru", "raise 'a bad deployment'");
    setup.app.touch_restart_txt();
    assert_eq!(setup.nginx.get("/").status(), 500);
    setup.app.write("config.ru", good);
    setup.app_pid();
}
