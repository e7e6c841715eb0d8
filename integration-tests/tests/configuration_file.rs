//! The daemon's configuration file: what it says counts after a flag and before nginx, and mistakes are told at once.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::json;
use stage::{Stage, is_root, skipped};

use crate::daemon_wide::Wide;

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_flag_counts_more_than_the_file_and_the_file_more_than_nginx() {
    let lines = "passenger_max_pool_size 3; passenger_pool_idle_time 33; passenger_stat_throttle_rate 3;";
    let file =
        "max_pool_size = 7\npool_idle_time = 77\nshow_version_in_header = false\nshutdown_timeout = 30\n";
    let wide = Wide::new(lines, |daemon| daemon.configured(file).flag("--max-pool-size=9"));
    wide.daemon.logs_eventually("nginx sets passenger_pool_idle_time to 33; the daemon's own file counts");
    for (name, value, source) in [
        ("max_pool_size", json!(9), "flag"),
        ("pool_idle_time", json!(77), "file"),
        ("stat_throttle_rate", json!(3), "nginx"),
        ("show_version_in_header", json!(false), "file"),
        ("socket_backlog", json!(4096), "default"),
    ] {
        assert_eq!(wide.option(name), (value, source.to_owned()), "{name}");
    }
    let shown = wide.daemon.tool("passenger-config", &["config"]).stdout;
    let shown = String::from_utf8_lossy(&shown);
    let line = shown.lines().find(|line| line.trim_start().starts_with("pool_idle_time")).unwrap();
    assert!(line.ends_with("(file)"), "{line}");
}

#[test]
fn check_config_tells_every_mistake_with_its_line_and_starts_nothing() {
    let stage = Stage::new();
    let wrong = "max_pool_size = 0\npool_size = 3\nshutdown_timeout = 0\nsocket_mode = 660\n\n\
                 [hooks]\nspawn_failed = \"/no/such/program\"\n";
    for action in ["check-config", "serve"] {
        let output = stage.daemon().configured(wrong).flag(action).output();
        assert_eq!(output.status.code(), Some(1));
        let told = told(&output);
        let file = stage.path("daemon.toml");
        // Three lines with paths come first.
        for (line, begin) in [
            (4, "max_pool_size: \"0\" is no number of 1 or more"),
            (5, "there is no option \"pool_size\"; there are socket_file, "),
            (6, "shutdown_timeout: \"0\" is no number of 1 or more"),
            (7, "socket_mode takes a text in quotes"),
            (10, "/no/such/program cannot be run"),
        ] {
            let place = format!("flying-passenger: {}, line {line}: ", file.display());
            assert!(told.contains(&(place + begin)), "line {line} is not in:\n{told}");
        }
        assert_eq!(told.lines().count(), 5, "{told}");
    }
    assert!(!stage.socket().exists());
}

#[test]
fn check_config_is_content_with_a_configuration_that_can_be_used() {
    let stage = Stage::new();
    let output = stage.daemon().configured("max_pool_size = 2\n").flag("check-config").output();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(output.stdout, b"flying-passenger: the configuration can be used\n");
    assert!(!stage.socket().exists());
}

#[test]
fn root_reads_no_file_that_others_may_write() {
    if !is_root() {
        return skipped("root_reads_no_file_that_others_may_write", "an ordinary user reads what it can");
    }
    let stage = Stage::new();
    let file = stage.path("open.toml");
    std::fs::write(&file, "socket_file = \"/nonexistent/socket\"\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    let output = stage.daemon().flag(&format!("--config={}", file.display())).output();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("others than root may write to it"), "{}", told(&output));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let stage = Stage::new();
    let output = stage.daemon().flag("--config=/nonexistent/x.toml").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("--config: /nonexistent/x.toml: No such file"), "{}", told(&output));
}
