//! The daemon's configuration file: flags override it, it overrides nginx, and errors are reported at the start.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::json;
use test_support::{TestDir, is_root, skipped};

use crate::daemon_wide::DaemonSetup;

fn reported(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn flags_override_the_file_and_the_file_overrides_nginx() {
    let lines = "passenger_max_pool_size 3; passenger_pool_idle_time 33; passenger_stat_throttle_rate 3;";
    let file =
        "max_pool_size = 7\npool_idle_time = 77\nshow_version_in_header = false\nshutdown_timeout = 30\n";
    let setup = DaemonSetup::new(lines, |daemon| daemon.configured(file).flag("--max-pool-size=9"));
    setup
        .daemon
        .logs_eventually("passenger_pool_idle_time 33 in nginx.conf is overridden by pool_idle_time = 77 in");
    for (name, value, source) in [
        ("max_pool_size", json!(9), "flag"),
        ("pool_idle_time", json!(77), "file"),
        ("stat_throttle_rate", json!(3), "nginx"),
        ("show_version_in_header", json!(false), "file"),
        ("socket_backlog", json!(4096), "default"),
    ] {
        assert_eq!(setup.option(name), (value, source.to_owned()), "{name}");
    }
    let shown = setup.daemon.tool("passenger-config", &["config"]).stdout;
    let shown = String::from_utf8_lossy(&shown);
    let line = shown.lines().find(|line| line.trim_start().starts_with("pool_idle_time")).unwrap();
    assert!(line.ends_with("(file)"), "{line}");
}

#[test]
fn every_key_applies() {
    let test_dir = TestDir::new();
    let (pid_file, buffers) = (test_dir.path("daemon.pid"), test_dir.path("scratch"));
    let me = nix::unistd::geteuid();
    let lines = format!(
        r#"
socket_mode = "0640"
socket_owner = "{me}"
status_group = "adm"
router_user = "games"
allow_app_users = "games"
allow_app_groups = "games"
pass_env = "PATH, SHOP_*"
pid_file = {pid_file:?}
shutdown_timeout = 30
drain_timeout = 20
max_pool_size = 3
max_instances_per_app = 2
pool_idle_time = 33
stat_throttle_rate = 4
user_switching = false
default_user = "games"
default_group = "games"
log_level = "debug"
app_output = "log"
app_output_limit = 5000
min_upload_rate = 700
router_threads = 2
disable_log_prefix = true
socket_backlog = 77
core_file_descriptor_ulimit = 512
show_version_in_header = false
response_buffer_high_watermark = 99
data_buffer_dir = {buffers:?}
"#
    );
    let daemon = test_dir.daemon().configured(&lines).start();
    let file = std::fs::read_to_string(test_dir.path("daemon.toml")).unwrap();
    for key in ["socket_file = ", "instance_registry_dir = ", "loaders_dir = "] {
        assert!(file.contains(key), "the harness writes {key}");
    }
    let mode = std::fs::metadata(test_dir.socket()).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, pid_file.exists()), (0o640, true));
    let shown = daemon.tool("passenger-config", &["settings"]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    let by_file = shown.lines().filter(|line| line.ends_with("(file)"));
    let keys: Vec<_> = by_file.map(|line| line.split_whitespace().next().unwrap()).collect();
    for key in keys.iter().filter(|key| **key != "log_file") {
        assert!(lines.contains(&format!("{key} = ")), "{key}");
    }
    assert_eq!(keys.len(), 14, "all that nginx may set too, but the log file: {shown}");
    if is_root() {
        assert_eq!(
            test_support::owner_uid(daemon.router()),
            nix::unistd::User::from_name("games").unwrap().unwrap().uid.as_raw()
        );
    }
}

#[test]
fn every_key_for_apps_applies() {
    let lines = r#"
cgroups = false
ruby = "ruby"
python = "python3"
nodejs = "node"
meteor_app_settings = "/etc/hostname"
spawn_method = "direct"
concurrency_model = "process"
thread_count = 2
load_shell_envvars = false
preload_bundler = false
custom_error_page = "/etc/hostname"
friendly_error_pages = false
app_file_descriptor_ulimit = 300
rolling_restarts = true
resist_deployment_errors = true
max_preloader_idle_time = 7
force_max_concurrent_requests_per_process = 4
min_instances = 1
memory_limit = 900
max_requests = 50
max_request_time = 60
max_request_queue_size = 5
sticky_sessions = true
sticky_sessions_cookie_name = "route"
sticky_sessions_cookie_attributes = "Secure"
abort_websockets_on_process_shutdown = false
"#;
    let test_dir = TestDir::new();
    let daemon = test_dir.daemon().configured(lines).start();
    let shown = daemon.tool("passenger-config", &["settings", "--json"]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let defaults = shown["app_defaults"].as_array().unwrap();
    assert!(defaults.iter().all(|default| default["source"] == "file"), "{shown}");
    let keys: BTreeSet<_> = defaults.iter().map(|default| default["name"].as_str().unwrap()).collect();
    let written = lines.lines().filter_map(|line| Some(line.split_once(" = ")?.0));
    assert_eq!(keys, written.skip(1).collect());
}

#[test]
fn check_config_reports_all_errors_and_starts_nothing() {
    let test_dir = TestDir::new();
    let wrong = "max_pool_size = 0\npool_size = 3\nshutdown_timeout = 0\nsocket_mode = 660\n\n\
                 [hooks]\nspawn_failed = \"/no/such/program\"\n";
    for action in ["check-config", "serve"] {
        let output = test_dir.daemon().configured(wrong).flag(action).output();
        assert_eq!(output.status.code(), Some(1));
        let reported = reported(&output);
        let file = test_dir.path("daemon.toml");
        // Three lines with paths come first.
        for (line, begin) in [
            (4, "invalid value \"0\" in \"max_pool_size\": must be a number >= 1"),
            (5, "unknown option \"pool_size\"; did you mean \"max_pool_size\"?"),
            (6, "invalid value \"0\" in \"shutdown_timeout\": must be a number >= 1"),
            (7, "socket_mode: must be text in quotes"),
            (10, "/no/such/program cannot be run"),
        ] {
            let place = format!("flying-passenger: {}, line {line}: ", file.display());
            assert!(reported.contains(&(place + begin)), "line {line} is not in:\n{reported}");
        }
        assert_eq!(reported.lines().count(), 5, "{reported}");
    }
    assert!(!test_dir.socket().exists());
}

#[test]
fn an_unknown_user_is_reported_with_its_line() {
    // Only a daemon of root switches users.
    if !is_root() {
        return;
    }
    let test_dir = TestDir::new();
    let wrong = "default_user = \"no-such-user\"\n";
    let reported = reported(&test_dir.daemon().configured(wrong).flag("check-config").output());
    assert!(reported.contains(", line 4: default_user: unknown user \"no-such-user\""), "{reported}");
}

#[test]
fn check_config_accepts_a_valid_configuration() {
    let test_dir = TestDir::new();
    let output = test_dir.daemon().configured("max_pool_size = 2\n").flag("check-config").output();
    assert_eq!(output.status.code(), Some(0), "{}", reported(&output));
    assert_eq!(output.stdout, b"flying-passenger: the configuration is valid\n");
    assert!(!test_dir.socket().exists());
}

#[test]
fn a_file_that_others_can_write_is_refused_as_root() {
    if !is_root() {
        return skipped(
            "a_file_that_others_can_write_is_refused_as_root",
            "an ordinary user reads what it can",
        );
    }
    let test_dir = TestDir::new();
    let file = test_dir.path("open.toml");
    std::fs::write(&file, "socket_file = \"/nonexistent/socket\"\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    let output = test_dir.daemon().flag(&format!("--config={}", file.display())).output();
    assert_eq!(output.status.code(), Some(1));
    assert!(reported(&output).contains("other users than root can write to it"), "{}", reported(&output));
}

#[test]
fn a_missing_configuration_file_is_named() {
    let test_dir = TestDir::new();
    let output = test_dir.daemon().flag("--config=/nonexistent/x.toml").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        reported(&output).contains("--config: /nonexistent/x.toml: No such file"),
        "{}",
        reported(&output)
    );
}
