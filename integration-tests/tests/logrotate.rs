//! The packaged configuration of logrotate, with paths of the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use test_support::{ONE_APP_CONF, TestDir, binary, eventually, is_root, require_debian_package, workspace};

/// Prints its query.
const SPEAKER: &str = r#"
def application(environ, start_response):
    print(environ["QUERY_STRING"], flush=True)
    start_response("200 OK", [])
    return [b"said"]
"#;

#[test]
fn logs_of_the_daemon_and_of_apps_continue_in_new_files() {
    require_debian_package("logrotate", "/usr/sbin/logrotate");
    let test_dir = TestDir::new();
    let logs = test_dir.path("log");
    fs::create_dir_all(&logs).unwrap();
    let app = test_dir.app("app").python(SPEAKER);
    if is_root() {
        app.owned_by("games");
        std::os::unix::fs::chown(&logs, Some(5), None).unwrap();
    }
    let log = logs.join("daemon.log");
    let daemon = test_dir.daemon().flag(&format!("--log-file={}", log.display())).start();
    let lines = format!("passenger_app_log_file {}/shop.log;", logs.display());
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    let has =
        |name: &str, text: &str| fs::read_to_string(logs.join(name)).is_ok_and(|log| log.contains(text));
    nginx.get("/?before").expect(200);
    eventually("the app has a log file", || has("shop.log", "before"));

    let text = fs::read_to_string(workspace().join("packaging/deb/flying-passenger.logrotate")).unwrap();
    let registry = daemon.admin_socket().ancestors().nth(2).unwrap().display().to_string();
    let tool = format!("PASSENGER_INSTANCE_REGISTRY_DIR={registry} {}", binary("passenger-config").display());
    let text = text
        .replace("/var/log/flying-passenger", &logs.display().to_string())
        .replace("/run/flying-passenger", &registry)
        .replace("passenger-config", &tool);
    let text = if is_root() { text.replace("weekly", "weekly\n\tsu games games") } else { text };
    let conf = test_dir.path("logrotate.conf");
    fs::write(&conf, text).unwrap();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o644)).unwrap();
    let state = test_dir.path("logrotate.state");
    let rotated =
        Command::new("/usr/sbin/logrotate").arg("--force").arg("--state").arg(state).arg(&conf).output();
    assert!(rotated.as_ref().is_ok_and(|output| output.status.success()), "{rotated:?}");
    assert!(has("shop.log.1", "before") && has("daemon.log.1", "up and listening"));
    nginx.get("/?after").expect(200);
    eventually("the app's new file has its output", || has("shop.log", "after"));
    eventually("the daemon's new file has its lines", || has("daemon.log", "after"));
}
