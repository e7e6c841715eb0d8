//! Bad nights: the socket for nginx is removed. It is created again, or the reason why not is reported.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use stage::{DaemonBuilder, Language, ONE_APP, Request, Scene, Stage, eventually, is_root, skipped};

/// A daemon whose socket is in a directory of its own.
fn in_a_directory() -> (Scene, PathBuf) {
    let stage = Stage::new();
    let app = stage.app("app").standard(Language::Ruby);
    let directory = stage.path("run");
    fs::create_dir(&directory).unwrap();
    let daemon = at(stage.daemon(), &directory).start();
    let conf = ONE_APP.replace("%%APP%%", "").replace("%%SOCKET%%", "%%STAGE%%/run/socket");
    let nginx = stage.nginx(&conf).start();
    stage.expect_log_line(&directory.display().to_string());
    (Scene { nginx, daemon, app, stage }, directory)
}

fn at(daemon: DaemonBuilder, directory: &std::path::Path) -> DaemonBuilder {
    daemon.flag(&format!("--socket-file={}/socket", directory.display()))
}

#[test]
fn a_socket_that_somebody_removes_comes_back_and_requests_under_way_go_on() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    let mut client = scene.nginx.connect();
    client.send(Request::get("/wait?name=under-way").bytes("close"));
    eventually("a request is under way", || scene.stage.scratch("under-way.arrived").exists());
    for removed in [vec!["fly.sock"], vec!["fly.sock", "fly.sock.lock"]] {
        removed.iter().for_each(|name| fs::remove_file(scene.stage.path(name)).unwrap());
        eventually("the socket is there again", || scene.stage.socket().exists());
    }
    let sentence = format!("{} was removed and is created again", scene.stage.socket().display());
    scene.daemon.logs_eventually(&sentence);
    let mode = || fs::metadata(scene.stage.socket()).unwrap().permissions().mode() & 0o777;
    eventually("it has its mode", || mode() == if is_root() { 0o660 } else { 0o600 });
    // New workers have no connection from before.
    scene.nginx.begin_reload();
    let other = scene.app_pid();
    scene.stage.open_gate("under-way");
    assert_eq!(client.read_response().expect(200).text(), pid.to_string());
    scene.daemon.kill_router();
    let now = scene.app_pid();
    assert!([pid, other].contains(&now), "the next router listens there, too");
    assert!(!scene.daemon.status().contains("Trouble"), "{}", scene.daemon.status());
}

#[test]
fn a_socket_whose_directory_is_gone_comes_back_with_it() {
    let (scene, directory) = in_a_directory();
    let pid = scene.app_pid();
    fs::rename(&directory, scene.stage.path("elsewhere")).unwrap();
    let sentence = format!(
        "nginx cannot find {0}/socket, which was removed: the directory of {0}/socket does not exist: create it",
        directory.display()
    );
    scene.daemon.logs_eventually(&sentence);
    eventually("the status tells", || scene.daemon.status().contains(&format!("Trouble       : {sentence}")));
    fs::create_dir(&directory).unwrap();
    eventually("the socket is there again", || directory.join("socket").exists());
    scene.nginx.reload();
    assert_eq!(scene.app_pid(), pid);
    eventually("the status is content", || !scene.daemon.status().contains("Trouble"));
    assert_eq!(scene.daemon.log().matches(&sentence).count(), 1, "it was told once");
}

#[test]
fn another_socket_in_its_place_is_told_and_replaced_when_it_is_dead() {
    let (scene, directory) = in_a_directory();
    let pid = scene.app_pid();
    let path = directory.join("socket");
    // Made elsewhere and put there at once, as by a second program that does not look.
    let other = UnixListener::bind(directory.join("other")).unwrap();
    fs::rename(directory.join("other"), &path).unwrap();
    let sentence = format!(
        "nginx cannot find {0}, which was removed: the process with PID {1} is already listening on {0}",
        path.display(),
        std::process::id()
    );
    scene.daemon.logs_eventually(&sentence);
    drop(other);
    scene.daemon.logs_eventually("was removed and is created again");
    scene.nginx.reload();
    assert_eq!(scene.app_pid(), pid);
}

#[test]
fn a_service_managers_socket_that_is_gone_is_told() {
    let stage = Stage::new();
    let daemon = stage.daemon().activated(stage.socket()).start();
    fs::remove_file(stage.socket()).unwrap();
    daemon.logs_eventually("again: with systemd, restart the .socket unit");
    eventually("the status tells", || daemon.status().contains("Trouble       : nginx cannot find"));
    assert!(!stage.socket().exists(), "it is not the daemon's to make");
}

#[test]
fn a_directory_that_the_daemon_may_not_write_to_is_named() {
    if !is_root() {
        return skipped("a_directory_that_the_daemon_may_not_write_to_is_named", "it takes another user");
    }
    let games = nix::unistd::User::from_name("games").unwrap().unwrap();
    let stage = Stage::new();
    let output = stage.daemon().as_user(games.uid.as_raw(), games.gid.as_raw()).output();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let sentence = format!(
        "the daemon cannot start: the user {} may not create {}: give its directory to that user, or set another path",
        games.uid,
        stage.socket().display()
    );
    assert!(told.contains(&sentence), "{told}");
}

#[test]
fn a_directory_that_keeps_nginx_out_or_lets_others_in_is_told_at_the_start() {
    if !is_root() {
        return skipped(
            "a_directory_that_keeps_nginx_out_or_lets_others_in_is_told_at_the_start",
            "an ordinary user's socket has no group",
        );
    }
    for (mode, told) in [(0o700, "cannot enter the directory"), (0o777, "other users can replace")] {
        let stage = Stage::new();
        let directory = stage.path("run");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let daemon = at(stage.daemon(), &directory).flag("--socket-owner=root:games").start();
        assert!(daemon.log().contains(told), "{}", daemon.log());
    }
}
