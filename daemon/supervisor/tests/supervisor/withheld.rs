//! What is withheld from the router: what exists where only root can look, and who owns it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::link::{Notice, Order, RestartFiles, SpawnSpec, Ticket};
use protocol::request::AppKind;

use crate::daemon::{Daemon, as_user, eventually, generic, give, spec};
use crate::{Test, as_root};

pub(crate) const TESTS: &[Test] = &[
    as_root("what_only_root_sees_is_as_if_absent", what_only_root_sees_is_as_if_absent),
    as_root("what_another_user_alone_sees_is_as_if_absent", what_another_user_alone_sees),
    as_root("what_the_apps_user_may_see_is_reported_exactly", what_the_apps_user_may_see_is_reported_exactly),
    as_root("restart_files_where_only_root_can_look_are_withheld", restart_files_are_withheld),
    as_root("restart_files_tell_nothing_about_other_directories", no_other_directories),
    as_root("restart_files_of_private_apps_are_seen", restart_files_of_private_apps_are_seen),
    as_root("changes_tell_nothing_but_restart_files", changes_tell_nothing_but_restart_files),
];

const NOTHING: RestartFiles = RestartFiles { restart_mtime: None, always: false };

fn directory(path: PathBuf, mode: u32, owner: (u32, u32)) -> PathBuf {
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    give(&path, owner.0, owner.1);
    path
}

fn file(path: PathBuf, owner: u32) -> PathBuf {
    fs::write(&path, "").unwrap();
    give(&path, owner, owner);
    path
}

/// Returns an app in `root` with this startup file.
fn app(root: &Path, startup_file: &str) -> SpawnSpec {
    SpawnSpec { startup_file: startup_file.into(), ..spec(AppKind::Ruby, root) }
}

fn refusals(daemon: &mut Daemon, apps: &[SpawnSpec]) -> Vec<String> {
    apps.iter().map(|app| daemon.try_spawn(app.clone()).expect_err("nothing may be started")).collect()
}

#[track_caller]
fn assert_alike(refusals: &[String]) {
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:#?}");
}

fn what_only_root_sees_is_as_if_absent() {
    let mut daemon = Daemon::start();
    let closed = directory(daemon.dir().join("closed"), 0o700, (0, 0));
    file(closed.join("of_root"), 0);
    file(closed.join("of_games"), 5);
    directory(closed.join("directory"), 0o755, (5, 5));
    for user in [None, Some("games"), Some("no-such-user"), Some("root")] {
        let mut apps: Vec<_> = ["of_root", "of_games", "directory", "absent", "of_games/absent"]
            .map(|name| as_user(user, app(&closed, name)))
            .to_vec();
        apps.extend(
            ["directory", "absent", "of_root"].map(|name| as_user(user, generic(&closed.join(name), "true"))),
        );
        let refusals = refusals(&mut daemon, &apps);
        assert_alike(&refusals);
        assert!(
            refusals[0].contains(&format!("cannot enter the directory {}", closed.display())),
            "{refusals:?}"
        );
    }
    for exact in ["closed/absent does not exist", "the user \"games\" cannot enter the directory"] {
        daemon.logs(exact);
    }
}

/// www-data cannot be an app's user while it owns nginx's socket.
fn what_another_user_alone_sees() {
    let mut daemon = Daemon::start();
    give(&daemon.dir().join("socket"), 33, 33);
    let closed = directory(daemon.dir().join("closed"), 0o700, (33, 33));
    file(closed.join("of_www_data"), 33);
    for user in [None, Some("www-data")] {
        let apps = ["of_www_data", "absent"].map(|name| as_user(user, app(&closed, name)));
        assert_alike(&refusals(&mut daemon, &apps));
    }
    daemon.logs("can connect to nginx's socket");
}

fn what_the_apps_user_may_see_is_reported_exactly() {
    let mut daemon = Daemon::start();
    give(&daemon.dir().join("socket"), 33, 33);
    let home = directory(daemon.dir().join("home"), 0o700, (5, 60));
    let open = directory(daemon.dir().join("open"), 0o755, (0, 0));
    file(open.join("of_www_data"), 33);
    let (missing, no_root) = (home.join("config.ru"), home.join("current"));
    let refusals = refusals(
        &mut daemon,
        &[
            app(&home, "config.ru"),
            app(&no_root, "config.ru"),
            app(&open, "absent"),
            app(&open, "of_www_data"),
        ],
    );
    assert_eq!(refusals[0], format!("the startup file {} does not exist", missing.display()));
    assert_eq!(refusals[1], format!("the app root {} does not exist", no_root.display()));
    assert_eq!(refusals[2], format!("the startup file {}/absent does not exist", open.display()));
    assert!(refusals[3].contains("user \"www-data\", which can connect to nginx's socket"), "{refusals:?}");
}

fn look(daemon: &mut Daemon, dir: &Path) -> RestartFiles {
    daemon.order(Order::CheckRestartFiles { ticket: Ticket(9), dir: dir.into() });
    daemon.notice(|notice| match notice {
        Notice::RestartFiles { found, .. } => Some(*found),
        _ => None,
    })
}

fn restart_files_are_withheld() {
    let mut daemon = Daemon::start();
    let closed = directory(daemon.dir().join("closed"), 0o700, (0, 0));
    let tmp = directory(closed.join("tmp"), 0o755, (0, 0));
    file(tmp.join("restart.txt"), 0);
    assert_eq!(look(&mut daemon, &tmp), NOTHING);
    let why = format!("those in {} are ignored", tmp.display());
    eventually("the reason in the log", || daemon.log().contains(&why).then_some(()));
}

/// A path that leads through a directory and out again would reveal whether the directory exists.
fn no_other_directories() {
    let mut daemon = Daemon::start();
    let closed = directory(daemon.dir().join("closed"), 0o700, (0, 0));
    directory(closed.join("directory"), 0o755, (5, 60));
    let own = directory(daemon.dir().join("own"), 0o755, (5, 60));
    file(own.join("restart.txt"), 5);
    assert_ne!(look(&mut daemon, &own), NOTHING);
    assert_eq!(look(&mut daemon, &closed.join("directory/../../own")), NOTHING);
    std::os::unix::fs::symlink(closed.join("directory/../../own"), daemon.dir().join("link")).unwrap();
    let link = daemon.dir().join("link");
    assert_eq!(look(&mut daemon, &link), NOTHING);
}

fn restart_files_of_private_apps_are_seen() {
    let mut daemon = Daemon::start();
    let home = directory(daemon.dir().join("home"), 0o700, (5, 60));
    let shared = directory(daemon.dir().join("shared"), 0o750, (0, 60));
    let of_root = directory(daemon.dir().join("of_root"), 0o755, (0, 0));
    for (root, mode, owner) in [(home, 0o700, (5, 60)), (shared, 0o770, (0, 60)), (of_root, 0o700, (0, 0))] {
        let tmp = directory(root.join("tmp"), mode, owner);
        file(tmp.join("restart.txt"), 0);
        assert!(look(&mut daemon, &tmp).restart_mtime.is_some(), "{}", tmp.display());
    }
}

fn changed(daemon: &mut Daemon) -> PathBuf {
    daemon.notice(|notice| match notice {
        Notice::RestartFilesChanged { dir } => Some(dir.clone()),
        _ => None,
    })
}

/// A router may name any directory: it learns of those that appear only by restart files in them.
fn changes_tell_nothing_but_restart_files() {
    let mut daemon = Daemon::start();
    let home = directory(daemon.dir().join("home"), 0o700, (5, 60));
    let closed = directory(daemon.dir().join("closed"), 0o700, (0, 0));
    let of_root = directory(closed.join("tmp"), 0o755, (0, 0));
    let known = directory(home.join("known"), 0o700, (5, 60));
    let secret = home.join("secret");
    for dir in [&secret, &known, &of_root] {
        assert_eq!(look(&mut daemon, dir), NOTHING);
    }
    directory(secret.clone(), 0o700, (5, 60));
    file(of_root.join("restart.txt"), 0);
    file(known.join("other.txt"), 5);
    file(known.join("restart.txt"), 5);
    assert_eq!(changed(&mut daemon), known, "nothing was reported before");
    file(secret.join("restart.txt"), 5);
    loop {
        match changed(&mut daemon) {
            dir if dir == secret => return,
            // The same file may be reported twice: it was created, and then given to its owner.
            dir => assert_eq!(dir, known),
        }
    }
}
