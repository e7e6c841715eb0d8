//! The user that a real process runs as, under a daemon that is root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

use common::link::{ProcessRecord, SpawnSpec};
use nix::unistd::User;

use crate::daemon::{Daemon, as_user, generic, give, spec, status, with_loader};
use crate::{Test, as_root};

pub(crate) const TESTS: &[Test] = &[
    as_root("an_app_runs_as_the_owner_of_its_startup_file", runs_as_the_owner),
    as_root("an_app_of_root_runs_as_the_default_user", an_app_of_root_runs_as_the_default_user),
    as_root("passenger_user_decides_but_never_for_root", passenger_user_decides_but_never_for_root),
    as_root("a_symlink_to_anothers_file_gives_nobody_that_user", a_symlink_gives_nobody_that_user),
    as_root("the_way_back_to_root_is_closed", the_way_back_to_root_is_closed),
    as_root("the_first_closed_directory_is_named", the_first_closed_directory_is_named),
    as_root("without_switching_everything_is_the_default_users", without_switching),
    as_root("the_router_has_no_rights", the_router_has_no_rights),
    as_root("an_interpreter_is_found_as_the_apps_user", an_interpreter_is_found_as_the_apps_user),
];

fn user(name: &str) -> User {
    User::from_name(name).unwrap().unwrap()
}

/// Asserts that real, effective, saved and file system IDs are all this user's.
fn assert_is(record: &ProcessRecord, name: &str) {
    let expected = user(name);
    assert_eq!(record.user.name, name);
    assert_eq!(record.user.uid, expected.uid.as_raw());
    assert_eq!(status(record.pid, "Uid"), vec![expected.uid.to_string(); 4]);
    assert_eq!(status(record.pid, "Gid"), vec![expected.gid.to_string(); 4]);
    assert_eq!(status(record.pid, "Groups"), [expected.gid.to_string()].to_vec());
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(u64::from_str_radix(&status(record.pid, set)[0], 16), Ok(0), "{set}");
    }
}

fn owned_app(daemon: &Daemon, name: &str) -> SpawnSpec {
    let root = daemon.app("app");
    let spec = with_loader(daemon, &root, "echo $HOME $USER $LOGNAME; exec sleep 1000");
    give(&root.join("config.ru"), user(name).uid.as_raw(), 0);
    spec
}

fn runs_as_the_owner() {
    let mut daemon = Daemon::start();
    let spec = owned_app(&daemon, "daemon");
    let record = daemon.spawn(spec);
    let home = user("daemon").dir.display().to_string();
    assert_eq!(daemon.output(record.process), format!("{home} daemon daemon"));
    assert_is(&record, "daemon");
}

fn an_app_of_root_runs_as_the_default_user() {
    let mut daemon = Daemon::start();
    let spec = owned_app(&daemon, "root");
    let record = daemon.spawn(spec);
    daemon.output(record.process);
    assert_is(&record, "nobody");
}

fn passenger_user_decides_but_never_for_root() {
    let mut daemon = Daemon::start_with(&["--default-user=games", "--allow-app-groups=www-data"]);
    let spec = owned_app(&daemon, "daemon");
    for (directive, expected) in [("nobody", "nobody"), ("root", "games"), ("no-such-user", "games")] {
        let record = daemon.spawn(as_user(directive, spec.clone()));
        daemon.output(record.process);
        assert_is(&record, expected);
    }
    let mut group = spec;
    group.settings.group = Some("www-data".into());
    let record = daemon.spawn(group);
    daemon.output(record.process);
    assert_eq!(status(record.pid, "Gid")[1], user("www-data").gid.to_string());
}

fn a_symlink_gives_nobody_that_user() {
    let mut daemon = Daemon::start();
    let victims = owned_app(&daemon, "daemon");
    let root = daemon.app("attacker");
    let link = root.join("config.ru");
    symlink(victims.root.join("config.ru"), &link).unwrap();
    lchown(&link, Some(user("games").uid.as_raw()), None).unwrap();
    let record = daemon.spawn(SpawnSpec { root, ..victims });
    daemon.output(record.process);
    assert_is(&record, "games");
}

fn the_way_back_to_root_is_closed() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let script = "exec python3 -c 'import os
for step in (os.setuid, os.seteuid, os.setgid, os.setegid):
    try:
        step(0)
        print(\"root again\", step.__name__)
    except PermissionError:
        pass
print(\"done\", flush=True)
os.read(0, 1)'";
    let mut spec = with_loader(&daemon, &root, script);
    spec.settings.env_var = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let record = daemon.spawn(spec);
    assert_eq!(daemon.output(record.process), "done");
}

fn the_first_closed_directory_is_named() {
    let mut daemon = Daemon::start();
    let outer = daemon.app("outer");
    let closed = outer.join("closed");
    let root = closed.join("app");
    fs::create_dir_all(&root).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let named = as_user("games", generic(&root, "sleep 1000"));
    let refusals = [generic(&root, "sleep 1000"), named].map(|spec| daemon.try_spawn(spec).unwrap_err());
    let closed = closed.display();
    assert_eq!(
        refusals,
        [
            format!(
                "the user \"nobody\" cannot enter the directory {closed}: Permission denied; if an app of another \
                 user is in it, the daemon's log has the reason"
            ),
            format!("the user \"games\" cannot enter the directory {closed}: Permission denied"),
        ]
    );
}

fn without_switching() {
    let mut daemon = Daemon::start_with(&["--no-user-switching", "--default-user=games"]);
    let spec = owned_app(&daemon, "daemon");
    let record = daemon.spawn(as_user("nobody", spec));
    daemon.output(record.process);
    assert_is(&record, "games");
}

fn the_router_has_no_rights() {
    let daemon = Daemon::start_with(&["--router-user=games"]);
    let router = daemon.router_pid();
    let games = user("games");
    assert_eq!(status(router, "Uid"), vec![games.uid.to_string(); 4]);
    assert_eq!(status(router, "Gid"), vec![games.gid.to_string(); 4]);
    assert_eq!(status(router, "NoNewPrivs"), ["1"]);
    assert_eq!(u64::from_str_radix(&status(router, "CapBnd")[0], 16).map(|_| ()), Ok(()));
    assert_eq!(u64::from_str_radix(&status(router, "CapEff")[0], 16), Ok(0));
    // Not dumpable: root owns its files in /proc.
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(format!("/proc/{router}/fd")).unwrap().uid(), 0);
}

fn an_interpreter_is_found_as_the_apps_user() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    fs::write(root.join("config.ru"), "").unwrap();
    let closed = daemon.dir().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::copy("/bin/echo", closed.join("mytool")).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let open = daemon.app("bin");
    fs::copy("/bin/echo", open.join("mytool")).unwrap();
    let mut wanted = spec(protocol::request::AppKind::Ruby, &root);
    wanted.interpreter = "mytool".into();
    wanted.settings.env_var = vec![("PATH".into(), format!("{}:{}", closed.display(), open.display()))];
    let record = daemon.spawn(wanted);
    let loader = Path::new(daemon.dir()).join("ruby/rack-loader.rb");
    assert_eq!(daemon.output(record.process), loader.display().to_string());
}
