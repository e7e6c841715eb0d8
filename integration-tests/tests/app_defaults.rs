//! Defaults for apps in the daemon's configuration, which apply where nginx.conf sets nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use stage::{Language, Scene, Stage, eventually, for_each_language};

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

fn shown(scene: &Scene) -> Value {
    let output = scene.daemon.tool("passenger-config", &["settings", "--json"]);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["app_defaults"].clone()
}

fn limit_of_files(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().to_owned()
}

#[test]
fn each_flag_holds_where_nginx_says_nothing() {
    let all = all("/etc/hostname");
    let scene = Scene::set(
        "passenger_max_requests 70;",
        |daemon| all.iter().fold(daemon, |daemon, (flag, ..)| daemon.flag(flag)),
        |app| app.standard(Language::Ruby),
    );
    let shown = shown(&scene);
    for (_, name, value) in &all {
        let expected = json!({ "name": name, "value": value, "source": "flag" });
        assert!(shown.as_array().unwrap().contains(&expected), "{expected} is not in {shown}");
    }
    assert_eq!(shown.as_array().unwrap().len(), all.len());
    let answer = scene.nginx.get("/pid").expect(200);
    assert!(answer.header("Set-Cookie").unwrap().starts_with("route="), "sticky_sessions and its cookie");
    let pid = answer.text().trim().parse().unwrap();
    assert_eq!(limit_of_files(pid), "300");
    eventually("min_instances is 2", || scene.daemon.app_pids().len() == 2);
    let pool = scene.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: Value = serde_json::from_slice(&pool).unwrap();
    let group = &pool["groups"][0];
    assert_eq!(group["preloader"], Value::Null, "spawn_method is direct");
    assert_eq!(group["processes"][0]["concurrency"], 3, "threads");
    assert_eq!((&group["min_instances"], &group["max_request_queue_size"]), (&json!(2), &json!(5)));
    assert_eq!(group["settings"], json!([{ "name": "max_requests", "value": 70 }]), "what nginx says");
}

for_each_language! {
    [ruby, python, node]
    fn an_interpreter_holds_for_every_app(language) {
        let stage = Stage::new();
        let wrapper = stage.path("interpreter");
        let (flag, program) = match language {
            Language::Ruby => ("ruby", "ruby"),
            Language::Python => ("python", "python3"),
            _ => ("nodejs", "node"),
        };
        fs::write(&wrapper, format!("#!/bin/sh\necho started by the wrapper >&2\nexec {program} \"$@\"\n")).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        stage.app("app").standard(language);
        let daemon = stage.daemon().flag(&format!("--{flag}={}", wrapper.display())).start();
        let nginx = stage.nginx(&stage::ONE_APP.replace("%%APP%%", "")).start();
        nginx.get("/pid").expect(200);
        daemon.logs_eventually("output: started by the wrapper");
    }
}

#[test]
fn the_file_has_their_keys_and_nginx_has_the_last_word() {
    let keys = "min_instances = 3\nspawn_method = \"direct\"\nabort_websockets_on_process_shutdown = false\n";
    let flags = |daemon: stage::DaemonBuilder| daemon.configured(keys).flag("--max-requests=9");
    let scene = Scene::with(Language::Ruby, "passenger_min_instances 1;", flags);
    scene.app_pid();
    let list = shown(&scene);
    let of = |name: &str| {
        let mut all = list.as_array().unwrap().iter();
        all.find(|each| each["name"] == name).map(|each| (each["value"].clone(), each["source"].clone()))
    };
    assert_eq!(of("min_instances"), Some((json!(3), json!("file"))));
    assert_eq!(of("max_requests"), Some((json!(9), json!("flag"))));
    assert_eq!(of("abort_websockets_on_process_shutdown"), Some((json!(false), json!("file"))));
    let pool: Value =
        serde_json::from_slice(&scene.daemon.tool("passenger-status", &["--show=json"]).stdout).unwrap();
    assert_eq!(pool["groups"][0]["min_instances"], 1);
    let text = scene.daemon.tool("passenger-config", &["settings"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\nDefaults of apps:\n"), "{text}");
}

#[test]
fn an_app_that_does_not_start_shows_the_page_of_the_flag() {
    let stage = Stage::new();
    let page = stage.path("sorry.html");
    fs::write(&page, "<p>Sorry</p>").unwrap();
    stage.app("app").ruby("raise 'broken'");
    let _daemon = stage.daemon().flag(&format!("--custom-error-page={}", page.display())).start();
    let nginx = stage.nginx(&stage::ONE_APP.replace("%%APP%%", "")).start();
    assert_eq!(nginx.get("/").expect(500).text(), "<p>Sorry</p>");
}

#[test]
fn passengers_name_for_friendly_pages_is_taken() {
    let stage = Stage::new();
    stage.app("app").ruby("raise 'broken'");
    let _daemon = stage.daemon().flag("--force-friendly-error-pages").start();
    let nginx = stage.nginx(&stage::ONE_APP.replace("%%APP%%", "")).start();
    assert!(nginx.get("/").expect(500).text().contains("broken"));
}

#[test]
fn wrong_values_are_told_all_at_once() {
    let output = Stage::new()
        .daemon()
        .flag("--spawn-method=magic")
        .flag("--concurrency-model=fibre")
        .flag("--min-instances=-1")
        .flag("--sticky-sessions=maybe")
        .output();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for line in [
        "invalid value \"magic\" in \"--spawn-method\": must be one of \"smart\", \"smart-lv2\", \"direct\", \"conservative\"",
        "invalid value \"fibre\" in \"--concurrency-model\": must be one of \"process\", \"thread\"",
        "invalid value \"-1\" in \"--min-instances\": must be a number >= 0",
        "invalid value \"maybe\" in \"--sticky-sessions\": must be \"on\" or \"off\"",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}
