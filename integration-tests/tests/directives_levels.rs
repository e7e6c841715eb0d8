//! Inheritance of directives between the levels of nginx.conf.

use std::fs;

use serde_json::{Value, json};
use test_support::{OneApp, Request, TestDir};

/// What is in effect in the only location of a configuration.
fn effective(http: &str, server: &str, location: &str) -> Value {
    let test_dir = TestDir::new();
    let conf = format!(
        "%%GLOBALS%% events {{ }} http {{ %%HTTP%% passenger_fly_with %%SOCKET%%;
         passenger_dump_config_manifest %%DIR%%/manifest.json; {http}
         server {{ listen 127.0.0.1:%%PORT%%; passenger_enabled on; {server} location / {{ {location} }} }} }}"
    );
    let test = test_dir.nginx(&conf).test_config();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stderr));
    let document: Value = serde_json::from_slice(&fs::read(test_dir.path("manifest.json")).unwrap()).unwrap();
    let levels = document["levels"].as_array().unwrap();
    levels.iter().find(|level| level["location"] == "/").expect("the location is listed")["effective"].clone()
}

#[test]
fn the_innermost_scalar_applies() {
    let found = effective(
        "passenger_min_instances 1; passenger_app_env a; passenger_ruby /http; passenger_start_timeout 1m;",
        "passenger_min_instances 2; rails_env b; passenger_app_root /server;",
        "passenger_min_instances 3; passenger_sticky_sessions on;",
    );
    let expected = json!({
        "min_instances": 3, "app_env": "b", "ruby": "/http", "start_timeout": 60, "app_root": "/server",
        "sticky_sessions": true,
    });
    assert_eq!(found, expected);
}

#[test]
fn lists_are_joined_and_the_inner_ones_come_first() {
    let found = effective(
        "passenger_base_uri /a; passenger_monitor_log_file http;",
        "passenger_base_uri /b; passenger_base_uri /c/;",
        "passenger_base_uri /d; passenger_base_uri /; passenger_monitor_log_file location;",
    );
    let expected = json!({ "base_uri": ["/d", "/b", "/c", "/a"], "monitor_log_file": ["location", "http"] });
    assert_eq!(found, expected);
}

#[test]
fn variables_are_joined_and_the_inner_ones_win() {
    let found = effective(
        "passenger_env_var A http; passenger_env_var B http;",
        "passenger_env_var B server; passenger_env_var C server;",
        "passenger_env_var C ''; passenger_env_var D location;",
    );
    assert_eq!(found, json!({ "env_var": { "A": "http", "B": "server", "C": "", "D": "location" } }));
}

#[test]
fn minus_one_restores_the_default() {
    let directive = "passenger_force_max_concurrent_requests_per_process";
    let found = effective("", &format!("{directive} 4;"), &format!("{directive} -1;"));
    assert_eq!(found, json!({ "force_max_concurrent_requests_per_process": -1 }));
}

#[test]
fn a_header_set_here_hides_those_of_outer_levels() {
    let lines = r#"
        passenger_set_header X-A outer;
        passenger_set_header X-B "outer $request_method";
        passenger_pass_header X-Accel-Expires;
        location /inherits { }
        location /own { passenger_set_header X-A inner; }
        location /removes { passenger_set_header X-A ""; }
        location /hides { passenger_pass_header X-Accel-Buffering; }
        location /off { passenger_enabled off; }
    "#;
    let ruby = r##"
        run ->(env) { [200, { 'X-Accel-Expires' => '0' }, ["#{env['HTTP_X_A']}|#{env['HTTP_X_B']}"]] }
    "##;
    let setup = OneApp::app(lines, |app| app.ruby(ruby));
    let get =
        |path: &str| setup.nginx.send(Request::get(path).header("X-A", "client").header("X-B", "client"));
    assert_eq!(get("/inherits").expect(200).text(), "outer|outer GET");
    assert_eq!(get("/own").expect(200).text(), "inner|client");
    assert_eq!(get("/removes").expect(200).text(), "|client");
    assert_eq!(get("/own").header("X-Accel-Expires"), Some("0"));
    assert_eq!(get("/hides").expect(200).header("X-Accel-Expires"), None);
    assert_eq!(get("/off").status(), 404);
}
