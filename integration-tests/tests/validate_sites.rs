//! `passenger-config validate-install` reads the sites of nginx's configuration: each mistake that keeps them from the
//! daemon is named with its file and a remedy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use test_support::{Daemon, Nginx, TestDir, is_root, skipped};

const CONF: &str = "%%GLOBALS%% events {} http { %%HTTP%% FLY_WITH
    server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/app/public; passenger_enabled on; } }";
const SITES: &str = "whether the sites of nginx's configuration reach a daemon";

/// The part about the sites, with the mark at the end of its first line.
fn found(nginx: &Nginx, test_dir: &TestDir) -> String {
    let mut command = std::process::Command::new(test_support::binary("passenger-config"));
    command.args(["validate-install", "--nginx-conf"]).arg(nginx.conf_path());
    let output = command.env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, sites) = text.split_once(&format!(" * Checking {SITES}... ")).unwrap_or_else(|| panic!("{text}"));
    let failed = sites.starts_with('✗');
    assert!(!failed || output.status.code() == Some(1), "{:?}: {text}", output.status);
    sites.split("\n\n").next().unwrap().to_owned()
}

fn setup(fly_with: &str) -> (TestDir, Daemon, Nginx) {
    let test_dir = TestDir::new();
    let daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(&CONF.replace("FLY_WITH", fly_with));
    (test_dir, daemon, nginx)
}

#[test]
fn a_site_that_reaches_its_daemon_is_right() {
    for fly_with in [
        "passenger_fly_with %%SOCKET%%;",
        "passenger_fly_with unix:%%SOCKET%%;",
        "upstream \"apps\" { server unix:%%SOCKET%%; } passenger_fly_with apps;",
    ] {
        let (test_dir, _daemon, nginx) = setup(fly_with);
        let found = found(&nginx, &test_dir);
        assert!(found.starts_with('✓'), "{found}");
        assert!(found.contains(&test_dir.socket().display().to_string()), "{found}");
        assert_eq!(found.contains(", as nginx's user \""), is_root(), "{found}");
    }
}

#[test]
fn a_wrong_path_names_the_file_and_the_right_path() {
    for wrong in ["%%DIR%%/fly.sok", "unix:%%DIR%%/nothing/socket"] {
        let (test_dir, _daemon, nginx) = setup(&format!("passenger_fly_with {wrong};"));
        let found = found(&nginx, &test_dir);
        let place = format!("✗\n   {}: passenger_fly_with ", nginx.conf_path().display());
        assert!(found.starts_with(&place) && found.contains(" does not exist."), "{found}");
        let socket = test_dir.socket();
        let remedy = format!("listens on {0}: write \"passenger_fly_with unix:{0};\"", socket.display());
        assert!(found.contains(&remedy), "{found}");
    }
}

#[test]
fn what_is_no_socket_or_does_not_answer_is_named() {
    let (test_dir, _daemon, nginx) = setup("passenger_fly_with %%DIR%%/other;");
    let other = test_dir.path("other");
    fs::write(&other, "").unwrap();
    assert!(found(&nginx, &test_dir).contains(&format!("{} is not a socket.", other.display())));
    fs::remove_file(&other).unwrap();
    let listener = UnixListener::bind(&other).unwrap();
    fs::set_permissions(&other, Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(test_dir.dir(), Permissions::from_mode(0o755)).unwrap();
    assert!(found(&nginx, &test_dir).contains("belongs to no running daemon"));
    drop(listener);
    let dead = found(&nginx, &test_dir);
    assert!(dead.contains(&format!("nobody answers at {}", other.display())), "{dead}");
}

#[test]
fn a_socket_that_nginx_may_not_use_names_its_user() {
    if !is_root() {
        return skipped("a_socket_that_nginx_may_not_use_names_its_user", "it takes another user");
    }
    let (test_dir, _daemon, nginx) = setup("passenger_fly_with %%SOCKET%%;");
    fs::set_permissions(test_dir.socket(), Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(nginx.conf_path()).unwrap();
    let without_user: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("user ")).collect();
    fs::write(nginx.conf_path(), format!("user games;\n{}", without_user.join("\n"))).unwrap();
    let found = found(&nginx, &test_dir);
    let sentence = format!("nginx's user \"games\" may not connect to {}.", test_dir.socket().display());
    assert!(found.starts_with('✗') && found.contains(&sentence), "{found}");
    assert!(found.contains("--socket-owner=root:games"), "{found}");
}

#[test]
fn a_configuration_with_a_mistake_or_without_apps_is_read_as_well() {
    // nginx -T prints nothing for a configuration with an error: the files are read.
    let (test_dir, _daemon, nginx) = setup("passenger_fly_with %%DIR%%/wrong; no_such_directive;");
    let wrong = found(&nginx, &test_dir);
    assert!(wrong.starts_with('✗') && wrong.contains("/wrong does not exist."), "{wrong}");
    fs::write(nginx.conf_path(), "events {} http { server { listen 127.0.0.1:1; } }").unwrap();
    let none = found(&nginx, &test_dir);
    assert!(none.starts_with("-\n   nginx's configuration contains no passenger_enabled on"), "{none}");
    fs::write(nginx.conf_path(), "http { passenger_enabled on; }").unwrap();
    let unknown = found(&nginx, &test_dir);
    let add = format!("Add \"passenger_fly_with unix:{};\" to the http block.", test_dir.socket().display());
    assert!(unknown.starts_with('✗') && unknown.contains(&add), "{unknown}");
    fs::remove_file(nginx.conf_path()).unwrap();
    assert!(found(&nginx, &test_dir).contains("cannot read "));
}
