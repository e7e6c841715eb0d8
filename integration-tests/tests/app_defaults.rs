//! Defaults for apps in the daemon's configuration, which apply where nginx.conf sets nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use test_support::{Language, OneApp, TestDir, eventually, for_each_language};

/// Every flag with a value, the setting that it is, and the value as it is shown.
fn all(page: &str) -> Vec<(String, &'static str, Value)> {
    let flag = |text: &str| text.to_owned();
    vec![
        (flag("--ruby=ruby"), "ruby", json!("ruby")),
        (flag("--python=python3"), "python", json!("python3")),
        (flag("--nodejs=node"), "nodejs", json!("node")),
        (flag("--meteor-app-settings=settings.json"), "meteor_app_settings", json!("settings.json")),
        (flag("--spawn-method=direct"), "spawn_method", json!("direct")),
        (flag("--concurrency-model=thread"), "concurrency_model", json!("thread")),
        (flag("--app-thread-count=3"), "thread_count", json!(3)),
        (flag("--load-shell-envvars=off"), "load_shell_envvars", json!(false)),
        (flag("--preload-bundler"), "preload_bundler", json!(true)),
        (format!("--custom-error-page={page}"), "custom_error_page", json!(page)),
        (flag("--friendly-error-pages=off"), "friendly_error_pages", json!(false)),
        (flag("--app-file-descriptor-ulimit=300"), "app_file_descriptor_ulimit", json!(300)),
        (flag("--scheduling-policy=other"), "scheduling_policy", json!("other")),
        (flag("--rolling-restarts=on"), "rolling_restarts", json!(true)),
        (flag("--resist-deployment-errors"), "resist_deployment_errors", json!(true)),
        (flag("--max-preloader-idle-time=7"), "max_preloader_idle_time", json!(7)),
        (
            flag("--force-max-concurrent-requests-per-process=-1"),
            "force_max_concurrent_requests_per_process",
            json!(-1),
        ),
        (flag("--min-instances=2"), "min_instances", json!(2)),
        (flag("--memory-limit=900"), "memory_limit", json!(900)),
        (flag("--max-requests=50"), "max_requests", json!(50)),
        (flag("--max-request-time=60"), "max_request_time", json!(60)),
        (flag("--max-request-queue-size=5"), "max_request_queue_size", json!(5)),
        (flag("--sticky-sessions"), "sticky_sessions", json!(true)),
        (flag("--sticky-sessions-cookie-name=route"), "sticky_sessions_cookie_name", json!("route")),
        (
            flag("--sticky-sessions-cookie-attributes=Secure"),
            "sticky_sessions_cookie_attributes",
            json!("Secure"),
        ),
        (
            flag("--no-abort-websockets-on-process-shutdown"),
            "abort_websockets_on_process_shutdown",
            json!(false),
        ),
    ]
}

fn shown(setup: &OneApp) -> Value {
    let output = setup.daemon.tool("passenger-config", &["settings", "--json"]);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["app_defaults"].clone()
}

fn limit_of_files(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().to_owned()
}

#[test]
fn flags_apply_where_nginx_sets_nothing() {
    let all = all("/etc/hostname");
    let setup = OneApp::custom(
        "passenger_max_requests 70;",
        |daemon| all.iter().fold(daemon, |daemon, (flag, ..)| daemon.flag(flag)),
        |app| app.standard(Language::Ruby),
    );
    let shown = shown(&setup);
    for (_, name, value) in &all {
        let expected = json!({ "name": name, "value": value, "source": "flag" });
        assert!(shown.as_array().unwrap().contains(&expected), "{expected} is not in {shown}");
    }
    assert_eq!(shown.as_array().unwrap().len(), all.len());
    let answer = setup.nginx.get("/pid").expect(200);
    assert!(answer.header("Set-Cookie").unwrap().starts_with("route="), "sticky_sessions and its cookie");
    let pid = answer.text().trim().parse().unwrap();
    assert_eq!(limit_of_files(pid), "300");
    eventually("min_instances is 2", || setup.daemon.app_pids().len() == 2);
    let pool = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: Value = serde_json::from_slice(&pool).unwrap();
    let group = &pool["groups"][0];
    assert_eq!(group["preloader"], Value::Null, "spawn_method is direct");
    assert_eq!(group["processes"][0]["concurrency"], 3, "threads");
    assert_eq!((&group["min_instances"], &group["max_request_queue_size"]), (&json!(2), &json!(5)));
    assert_eq!(group["settings"], json!([{ "name": "max_requests", "value": 70 }]), "what nginx says");
}

for_each_language! {
    [ruby, python, node]
    fn the_interpreter_flag_applies_to_every_app(language) {
        let test_dir = TestDir::new();
        let wrapper = test_dir.path("interpreter");
        let (flag, program) = match language {
            Language::Ruby => ("ruby", "ruby"),
            Language::Python => ("python", "python3"),
            _ => ("nodejs", "node"),
        };
        fs::write(&wrapper, format!("#!/bin/sh\necho started by the wrapper >&2\nexec {program} \"$@\"\n")).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        test_dir.app("app").standard(language);
        let daemon = test_dir.daemon().flag(&format!("--{flag}={}", wrapper.display())).start();
        let nginx = test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "")).start();
        nginx.get("/pid").expect(200);
        daemon.logs_eventually("output: started by the wrapper");
    }
}

#[test]
fn nginx_overrides_the_keys_of_the_configuration_file() {
    let keys = "min_instances = 3\nspawn_method = \"direct\"\nabort_websockets_on_process_shutdown = false\n";
    let flags = |daemon: test_support::DaemonBuilder| daemon.configured(keys).flag("--max-requests=9");
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 1;", flags);
    setup.app_pid();
    let list = shown(&setup);
    let of = |name: &str| {
        let mut all = list.as_array().unwrap().iter();
        all.find(|each| each["name"] == name).map(|each| (each["value"].clone(), each["source"].clone()))
    };
    assert_eq!(of("min_instances"), Some((json!(3), json!("file"))));
    assert_eq!(of("max_requests"), Some((json!(9), json!("flag"))));
    assert_eq!(of("abort_websockets_on_process_shutdown"), Some((json!(false), json!("file"))));
    let pool: Value =
        serde_json::from_slice(&setup.daemon.tool("passenger-status", &["--show=json"]).stdout).unwrap();
    assert_eq!(pool["groups"][0]["min_instances"], 1);
    let text = setup.daemon.tool("passenger-config", &["settings"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\nDefaults of apps:\n"), "{text}");
}

#[test]
fn a_failed_start_shows_the_page_that_the_flag_selects() {
    let test_dir = TestDir::new();
    let page = test_dir.path("sorry.html");
    fs::write(&page, "<p>Sorry</p>").unwrap();
    test_dir.app("app").ruby("raise 'broken'");
    let _daemon = test_dir.daemon().flag(&format!("--custom-error-page={}", page.display())).start();
    let nginx = test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "")).start();
    assert_eq!(nginx.get("/").expect(500).text(), "<p>Sorry</p>");
}

#[test]
fn the_flag_has_an_alias_for_friendly_error_pages() {
    let test_dir = TestDir::new();
    test_dir.app("app").ruby("raise 'broken'");
    let _daemon = test_dir.daemon().flag("--force-friendly-error-pages").start();
    let nginx = test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "")).start();
    assert!(nginx.get("/").expect(500).text().contains("broken"));
}

#[test]
fn all_wrong_values_are_reported_together() {
    let output = TestDir::new()
        .daemon()
        .flag("--spawn-method=magic")
        .flag("--concurrency-model=fibre")
        .flag("--min-instances=-1")
        .flag("--sticky-sessions=maybe")
        .output();
    assert_eq!(output.status.code(), Some(1));
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    for line in [
        "invalid value \"magic\" in \"--spawn-method\": must be one of \"smart\", \"smart-lv2\", \"direct\", \"conservative\"",
        "invalid value \"fibre\" in \"--concurrency-model\": must be one of \"process\", \"thread\"",
        "invalid value \"-1\" in \"--min-instances\": must be a number >= 0",
        "invalid value \"maybe\" in \"--sticky-sessions\": must be \"on\" or \"off\"",
    ] {
        assert!(reported.contains(line), "{line} is not in\n{reported}");
    }
}
