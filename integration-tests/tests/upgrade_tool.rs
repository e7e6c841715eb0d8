//! `passenger-config upgrade-daemon`: reports what the upgrade did, or why it did nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use test_support::{Language, OneApp, Request, binary, eventually, is_root, skipped};

use crate::upgrade::{install_release, install_script, place, setup};

fn upgrade(setup: &OneApp, arguments: &[&str]) -> Output {
    let arguments: Vec<_> = ["upgrade-daemon"].iter().chain(arguments).copied().collect();
    setup.daemon.tool("passenger-config", &arguments)
}

#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_upgrade_is_reported_when_the_new_program_answers() {
    let setup = setup("", Language::Python, |daemon| daemon);
    let (daemon, app) = (setup.daemon.pid(), setup.app_pid());
    for _ in 0..3 {
        let router = setup.daemon.router();
        install_release(&setup.test_dir);
        let output = upgrade(&setup, &[]);
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let release = env!("CARGO_PKG_VERSION");
        let expected =
            format!("flying-passenger {release} is replaced by {release}; its PID is still {daemon}.");
        assert!(printed.contains(&expected), "{printed}");
        assert!(printed.contains("1 app processes were kept, with their PIDs."), "{printed}");
        assert_ne!(setup.daemon.router(), router, "it has waited for the new one");
        assert_eq!((setup.daemon.pid(), setup.app_pid()), (daemon, app));
    }
}

#[test]
fn a_program_that_cannot_take_over_is_reported_and_the_daemon_serves_on() {
    let setup = setup("", Language::Python, |daemon| daemon);
    let app = setup.app_pid();
    let router = setup.daemon.router();
    install_script(&setup.test_dir, "#!/bin/sh\necho this is not it >&2\nexit 7\n");
    let why = refusal(&upgrade(&setup, &[]));
    for part in ["was not upgraded and serves as before", "exit status: 7", "this is not it"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    fs::remove_file(place(&setup.test_dir)).unwrap();
    assert!(refusal(&upgrade(&setup, &[])).contains("No such file"));
    assert_eq!((setup.app_pid(), setup.daemon.router()), (app, router));
    install_release(&setup.test_dir);
    assert!(upgrade(&setup, &[]).status.success());
    assert_eq!(setup.app_pid(), app);
}

#[test]
fn an_upgrade_that_takes_long_continues_after_the_timeout() {
    let setup = setup("", Language::Python, |daemon| daemon);
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=gate").bytes("close"));
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    let why = refusal(&upgrade(&setup, &["--timeout", "1"]));
    assert!(why.contains("has not finished within 1 s") && why.contains("it continues"), "{why}");
    let why = refusal(&upgrade(&setup, &[]));
    assert!(why.contains("is in progress already"), "{why}");
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
    setup.daemon.logs_eventually("takes over from");
    eventually("another upgrade is possible", || upgrade(&setup, &[]).status.success());
}

#[test]
fn a_daemon_that_is_lost_in_an_upgrade_is_reported() {
    let mut setup = setup("", Language::Python, |daemon| daemon);
    setup.test_dir.expect_log_line("fly.sock");
    setup.nginx.get("/pid").expect(200);
    install_script(&setup.test_dir, "#!/bin/sh\ncase \"$1\" in would*) exit 0 ;; esac\nexit 1\n");
    let why = refusal(&upgrade(&setup, &[]));
    assert!(why.contains("the daemon has ended; its log has the reason"), "{why}");
    assert!(!setup.daemon.await_end().success());
}

#[test]
fn an_ordinary_user_cannot_upgrade_the_daemon() {
    if !is_root() {
        return skipped("an_ordinary_user_cannot_upgrade_the_daemon", "it needs another user");
    }
    let setup = setup("", Language::Python, |daemon| daemon);
    let refused = || {
        let router = setup.daemon.router();
        let mut tool = Command::new(binary("passenger-config"));
        let registry = setup.daemon.admin_socket().ancestors().nth(2).unwrap().to_path_buf();
        tool.arg("upgrade-daemon").env("PASSENGER_INSTANCE_REGISTRY_DIR", registry).uid(5).gid(60);
        let why = refusal(&tool.output().unwrap());
        assert!(why.contains("only root and the daemon's user may upgrade it"), "{why}");
        assert_eq!(setup.daemon.router(), router);
    };
    refused();
    assert!(upgrade(&setup, &[]).status.success());
    // There is a result now, which other users cannot read.
    refused();
}
