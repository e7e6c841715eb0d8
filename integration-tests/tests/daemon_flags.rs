//! Flags of the daemon that no other file tests, each with its effect.

use std::os::unix::fs::MetadataExt;

use nix::unistd::{Group, User};
use serde_json::json;
use test_support::{Request, TestDir, eventually, is_root, skipped};

use crate::daemon_wide::DaemonSetup;

#[test]
fn every_global_directive_has_a_flag() {
    let setup = DaemonSetup::new("passenger_max_instances_per_app 4;", |daemon| {
        daemon
            .flag("--max-instances-per-app=1")
            .flag("--no-show-version-in-header")
            .flag("--socket-backlog=77")
            .flag("--stat-throttle-rate=0")
    });
    for (name, value) in [
        ("max_instances_per_app", json!(1)),
        ("show_version_in_header", json!(false)),
        ("socket_backlog", json!(77)),
        ("stat_throttle_rate", json!(0)),
    ] {
        assert_eq!(setup.option(name), (value, "flag".to_owned()), "{name}");
    }
    assert_eq!(setup.nginx.get("/pid").expect(200).header("x-powered-by"), Some("Flying Passenger"));
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("the only process is busy", || setup.test_dir.scratch("busy.arrived").exists());
    let mut second = setup.nginx.connect();
    second.send(Request::get("/pid").bytes("close"));
    eventually("the second request waits", || setup.daemon.status().contains("Requests in queue: 1"));
    assert_eq!(setup.daemon.app_pids().len(), 1);
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);
    second.read_response().expect(200);
}

#[test]
fn the_flag_sets_the_owner_of_the_socket() {
    if !is_root() {
        return skipped("the_flag_sets_the_owner_of_the_socket", "only root can give a socket away");
    }
    let test_dir = TestDir::new();
    let _daemon = test_dir.daemon().flag("--socket-owner=games:adm").flag("--socket-mode=0620").start();
    let socket = std::fs::metadata(test_dir.socket()).unwrap();
    let games = User::from_name("games").unwrap().unwrap().uid.as_raw();
    let adm = Group::from_name("adm").unwrap().unwrap().gid.as_raw();
    assert_eq!((socket.uid(), socket.gid(), socket.mode() & 0o777), (games, adm, 0o620));
}

#[test]
fn without_user_switching_every_app_runs_as_the_default_user_and_group() {
    if !is_root() {
        let test = "without_user_switching_every_app_runs_as_the_default_user_and_group";
        return skipped(test, "users are switched by root only");
    }
    let setup = DaemonSetup::new("", |daemon| {
        daemon.flag("--no-user-switching").flag("--default-user=games").flag("--default-group=adm")
    });
    let games = User::from_name("games").unwrap().unwrap().uid;
    let adm = Group::from_name("adm").unwrap().unwrap().gid;
    let seen = setup.nginx.get("/uid").expect(200).text();
    assert!(seen.starts_with(&format!("{games} {adm} games ")), "{seen}");
}

#[test]
fn an_unknown_destination_of_output_is_refused() {
    let output = TestDir::new().daemon().flag("--app-output=nowhere").output();
    assert_eq!(output.status.code(), Some(1));
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        reported
            .contains("invalid value \"nowhere\" in \"--app-output\": must be one of \"log\", \"journald\""),
        "{reported}"
    );
}
