//! Failures: the socket for nginx is removed. It is created again, or the reason why not is reported.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use test_support::{
    DaemonBuilder, Language, ONE_APP_CONF, OneApp, Request, TestDir, eventually, is_root, skipped,
};

/// A daemon whose socket is in a separate directory.
fn in_a_directory() -> (OneApp, PathBuf) {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let directory = test_dir.path("run");
    fs::create_dir(&directory).unwrap();
    let daemon = at(test_dir.daemon(), &directory).start();
    let conf = ONE_APP_CONF.replace("%%APP%%", "").replace("%%SOCKET%%", "%%DIR%%/run/socket");
    let nginx = test_dir.nginx(&conf).start();
    test_dir.expect_log_line(&directory.display().to_string());
    (OneApp { nginx, daemon, app, test_dir }, directory)
}

fn at(daemon: DaemonBuilder, directory: &std::path::Path) -> DaemonBuilder {
    daemon.flag(&format!("--socket-file={}/socket", directory.display()))
}

#[test]
fn a_removed_socket_is_created_again_and_requests_go_on() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let mut client = setup.nginx.connect();
    client.send(Request::get("/wait?name=under-way").bytes("close"));
    eventually("a request is active", || setup.test_dir.scratch("under-way.arrived").exists());
    for removed in [vec!["fly.sock"], vec!["fly.sock", "fly.sock.lock"]] {
        removed.iter().for_each(|name| fs::remove_file(setup.test_dir.path(name)).unwrap());
        eventually("the socket is there again", || setup.test_dir.socket().exists());
    }
    let sentence = format!("{} was removed and is created again", setup.test_dir.socket().display());
    setup.daemon.logs_eventually(&sentence);
    let mode = || fs::metadata(setup.test_dir.socket()).unwrap().permissions().mode() & 0o777;
    eventually("it has its mode", || mode() == if is_root() { 0o660 } else { 0o600 });
    // New workers have no connection from before.
    setup.nginx.begin_reload();
    let other = setup.app_pid();
    setup.test_dir.open_gate("under-way");
    assert_eq!(client.read_response().expect(200).text(), pid.to_string());
    setup.daemon.kill_router();
    let now = setup.app_pid();
    assert!([pid, other].contains(&now), "the next router listens there, too");
    assert!(!setup.daemon.status().contains("Problem"), "{}", setup.daemon.status());
}

#[test]
fn a_socket_is_created_again_with_its_directory() {
    let (setup, directory) = in_a_directory();
    let pid = setup.app_pid();
    fs::rename(&directory, setup.test_dir.path("elsewhere")).unwrap();
    let sentence = format!(
        "nginx cannot find {0}/socket, which was removed: the directory of {0}/socket does not exist: create it",
        directory.display()
    );
    setup.daemon.logs_eventually(&sentence);
    eventually("the status shows the problem", || {
        setup.daemon.status().contains(&format!("Problem       : {sentence}"))
    });
    fs::create_dir(&directory).unwrap();
    eventually("the socket is there again", || directory.join("socket").exists());
    setup.nginx.reload();
    assert_eq!(setup.app_pid(), pid);
    eventually("the status shows no problem", || !setup.daemon.status().contains("Problem"));
    assert_eq!(setup.daemon.log().matches(&sentence).count(), 1, "it was logged once");
}

#[test]
fn a_foreign_socket_is_reported_and_replaced_when_dead() {
    let (setup, directory) = in_a_directory();
    let pid = setup.app_pid();
    let path = directory.join("socket");
    // Created elsewhere and moved there atomically, as by a second program that does not check.
    let other = UnixListener::bind(directory.join("other")).unwrap();
    fs::rename(directory.join("other"), &path).unwrap();
    let sentence = format!(
        "nginx cannot find {0}, which was removed: the process with PID {1} is already listening on {0}",
        path.display(),
        std::process::id()
    );
    setup.daemon.logs_eventually(&sentence);
    drop(other);
    setup.daemon.logs_eventually("was removed and is created again");
    setup.nginx.reload();
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn a_removed_socket_of_the_service_manager_is_reported() {
    let test_dir = TestDir::new();
    let daemon = test_dir.daemon().activated(test_dir.socket()).start();
    fs::remove_file(test_dir.socket()).unwrap();
    daemon.logs_eventually("again: with systemd, restart the .socket unit");
    eventually("the status shows the problem", || {
        daemon.status().contains("Problem       : nginx cannot find")
    });
    assert!(!test_dir.socket().exists(), "it is not the daemon's to make");
}

#[test]
fn a_socket_directory_without_write_access_is_named() {
    if !is_root() {
        return skipped("a_socket_directory_without_write_access_is_named", "it takes another user");
    }
    let games = nix::unistd::User::from_name("games").unwrap().unwrap();
    let test_dir = TestDir::new();
    let output = test_dir.daemon().as_user(games.uid.as_raw(), games.gid.as_raw()).output();
    let reported = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let sentence = format!(
        "the daemon cannot start: the user {} may not create {}: give its directory to that user, or set another path",
        games.uid,
        test_dir.socket().display()
    );
    assert!(reported.contains(&sentence), "{reported}");
}

#[test]
fn wrong_permissions_of_the_directory_are_logged_at_start() {
    if !is_root() {
        return skipped(
            "wrong_permissions_of_the_directory_are_logged_at_start",
            "an ordinary user's socket has no group",
        );
    }
    for (mode, reported) in [(0o700, "cannot enter the directory"), (0o777, "other users can replace")] {
        let test_dir = TestDir::new();
        let directory = test_dir.path("run");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let daemon = at(test_dir.daemon(), &directory).flag("--socket-owner=root:games").start();
        assert!(daemon.log().contains(reported), "{}", daemon.log());
    }
}
