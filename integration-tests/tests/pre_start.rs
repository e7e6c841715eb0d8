//! nginx sends its configuration to the daemon before the first request: the daemon's settings are known, and the apps
//! of `passenger_pre_start` run.

use serde_json::Value;
use test_support::{Daemon, Language, Nginx, TestDir, eventually};

/// The app is served under one name only, so that the name matters.
const SHOP: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_max_pool_size 3;
        %%LINES%%
        server { listen 127.0.0.1:%%PORT%% default_server; return 404; }
        server {
            listen 127.0.0.1:%%PORT%%;
            server_name shop.example;
            root %%DIR%%/app/public;
            passenger_enabled on;
            location /broken { passenger_enabled off; return 503; }
        }
    }
"#;

const PRE_START: &str = "passenger_pre_start http://shop.example:%%PORT%%/;";

fn test_dir() -> TestDir {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    test_dir
}

fn shop(test_dir: &TestDir, lines: &str) -> Nginx {
    test_dir.nginx(&SHOP.replace("%%LINES%%", lines)).start()
}

#[track_caller]
fn starts_an_app(daemon: &Daemon) {
    eventually("an app runs before its first request", || daemon.app_pids().len() == 1);
}

/// Whether the pool's size is the one in nginx's configuration.
fn knows_the_configuration(daemon: &Daemon) -> bool {
    let output = daemon.tool("passenger-config", &["settings", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let options = shown["options"].as_array().cloned().unwrap_or_default();
    options.iter().any(|option| {
        option["name"] == "max_pool_size" && option["value"] == 3 && option["source"] == "nginx"
    })
}

#[test]
fn an_app_runs_before_its_first_request() {
    let test_dir = test_dir();
    let daemon = test_dir.daemon().start();
    let nginx = shop(&test_dir, PRE_START);
    starts_an_app(&daemon);
    assert!(knows_the_configuration(&daemon));
    assert!(!nginx.error_log().contains("passenger_pre_start"), "{}", nginx.error_log());
}

#[test]
fn the_daemon_knows_the_configuration_before_any_request() {
    let test_dir = test_dir();
    let daemon = test_dir.daemon().start();
    let _nginx = shop(&test_dir, "");
    eventually("the daemon has received the configuration", || knows_the_configuration(&daemon));
    assert!(daemon.app_pids().is_empty());
}

#[test]
fn several_urls_and_repeated_ones_start_each_app_once() {
    let test_dir = test_dir();
    test_dir.app("blog").standard(Language::Ruby);
    let daemon = test_dir.daemon().start();
    let lines = format!(
        "{PRE_START} {PRE_START} passenger_pre_start https://me:secret@www.blog.example:%%PORT%%/posts?page=1;
         server {{ listen 127.0.0.1:%%PORT%%; server_name *.blog.example;
                   root %%DIR%%/blog/public; passenger_enabled on; }}"
    );
    let _nginx = shop(&test_dir, &lines);
    eventually("both apps run", || daemon.app_pids().len() == 2);
}

#[test]
fn an_app_without_a_minimum_starts_again_with_each_reload() {
    let test_dir = test_dir();
    let daemon = test_dir.daemon().start();
    let nginx =
        shop(&test_dir, &format!("{PRE_START} passenger_min_instances 0; passenger_pool_idle_time 1;"));
    starts_an_app(&daemon);
    eventually("it is idle and ends", || daemon.app_pids().is_empty());
    nginx.reload();
    starts_an_app(&daemon);
}

#[test]
fn a_restarted_daemon_starts_the_app_again() {
    let test_dir = test_dir();
    let mut daemon = test_dir.daemon().start();
    let _nginx = shop(&test_dir, PRE_START);
    starts_an_app(&daemon);
    daemon.stop();
    daemon.start_again();
    starts_an_app(&daemon);
    assert!(knows_the_configuration(&daemon));
}

#[test]
fn a_daemon_that_starts_after_nginx_starts_the_app() {
    let test_dir = test_dir();
    let nginx = shop(&test_dir, PRE_START);
    let problem = "cannot send nginx's configuration to flying-passenger yet";
    eventually("nginx has tried to connect", || nginx.error_log().contains(problem));
    let daemon = test_dir.daemon().start();
    starts_an_app(&daemon);
    assert!(knows_the_configuration(&daemon));
    assert_eq!(nginx.error_log().matches(problem).count(), 1, "{}", nginx.error_log());
}

#[test]
fn a_url_selects_the_location_that_its_request_would_select() {
    let test_dir = test_dir();
    let served = ["caf%C3%A9/x", "slash", "/a/../slash/x", "admin/x.rb"];
    let urls = served.into_iter().chain(["x.rb"]);
    let urls = urls.map(|path| format!("passenger_pre_start http://paths.example.:%%PORT%%/{path};"));
    let server = r"server {
        listen 127.0.0.1:%%PORT%%;
        server_name paths.example;
        root %%DIR%%/app/public;
        location / { return 404; }
        location /café { passenger_enabled on; }
        location /slash/ { passenger_enabled on; }
        location /admin { location ~ \.rb$ { passenger_enabled on; } }
    }";
    let nginx = test_dir.nginx(&SHOP.replace("%%LINES%%", &(urls.collect::<String>() + server)));
    nginx.test_config();
    let log = nginx.error_log();
    assert!(log.contains("/x.rb has no effect"), "{log}");
    assert_eq!(log.matches("has no effect").count(), 1, "{log}");
}

#[test]
fn a_url_for_no_app_is_reported_at_each_start_and_reload() {
    let test_dir = test_dir();
    let _daemon = test_dir.daemon().start();
    let unused = test_dir.port();
    let lines = format!(
        "passenger_pre_start http://me:secret@shop.example:%%PORT%%/broken;
         passenger_pre_start http://shop.example:{unused}/;
         passenger_pre_start http://other.example:%%PORT%%/x;"
    );
    let nginx = shop(&test_dir, &lines);
    let port = nginx.port();
    let not_enabled = "passenger_enabled is not on in the location that serves it";
    let expected = [
        format!("passenger_pre_start http://shop.example:{port}/broken has no effect: {not_enabled}"),
        format!(
            "passenger_pre_start http://shop.example:{unused}/ has no effect: no server listens on port {unused}"
        ),
        format!("passenger_pre_start http://other.example:{port}/x has no effect: {not_enabled}"),
    ];
    for count in 1..=2 {
        let log = nginx.error_log();
        for line in &expected {
            assert_eq!(log.matches(line).count(), count, "{line}: {log}");
        }
        assert!(!log.contains("secret"), "{log}");
        nginx.reload();
    }
}
