//! Users of the processes: as root, users are switched; as an ordinary user, everything else works.

use nix::unistd::{Uid, User};
use test_support::{
    Language, ONE_APP_CONF, OneApp, TestDir, eventually, for_each_language, is_root, owner_uid,
};

/// True, with a loud line, where the test cannot be run.
fn needs_root(test: &str) -> bool {
    if !is_root() {
        test_support::skipped(test, "users are switched by root only");
    }
    !is_root()
}

for_each_language! {
    fn an_app_runs_as_the_owner_of_its_startup_file(language) {
        if needs_root("an_app_runs_as_the_owner_of_its_startup_file") {
            return;
        }
        let user = named("games");
        let setup = OneApp::custom(language.directives(), |daemon| daemon, |app| app.standard(language).owned_by("games"));
        let seen = setup.nginx.get("/uid").expect(200).text();
        let home = user.dir.display().to_string();
        assert_eq!(seen, format!("{} {} games {home}", user.uid, user.gid));
        assert_eq!(owner_uid(setup.app_pid()), user.uid.as_raw());
        assert_ne!(owner_uid(setup.daemon.router()), 0, "the router is unprivileged");
        assert_eq!(owner_uid(setup.daemon.pid()), 0, "the supervisor is root");
    }

    fn an_app_of_root_runs_as_nobody(language) {
        if needs_root("an_app_of_root_runs_as_nobody") {
            return;
        }
        let setup = OneApp::of(language);
        let user = named("nobody");
        let seen = setup.nginx.get("/uid").expect(200).text();
        assert!(seen.starts_with(&format!("{} {} nobody ", user.uid, user.gid)), "{seen}");
    }

    fn an_ordinary_user_serves_its_own_apps(language) {
        let test_dir = TestDir::new();
        test_dir.app("app").standard(language);
        let mut daemon = test_dir.daemon();
        let mut expected = Uid::current().as_raw();
        if is_root() {
            let user = named("games");
            std::os::unix::fs::chown(test_dir.dir(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
            daemon = daemon.as_user(user.uid.as_raw(), user.gid.as_raw());
            expected = user.uid.as_raw();
        }
        let daemon = daemon.start();
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", language.directives())).start();
        let pid: u32 = nginx.get("/pid").expect(200).text().parse().unwrap();
        assert_eq!(owner_uid(pid), expected);
        assert_eq!(owner_uid(daemon.router()), expected);
        daemon.kill_router();
        assert_eq!(nginx.get("/pid").expect(200).text(), pid.to_string());
        test_support::kill_9(pid);
        eventually("another process is there", || daemon.app_pids().iter().any(|each| *each != pid));
    }
}

#[test]
fn the_owner_of_the_symlink_itself_applies() {
    if needs_root("the_owner_of_the_symlink_itself_applies") {
        return;
    }
    let setup = OneApp::app("", |app| {
        let app = app.file("real.ru", "run ->(env) { [200, {}, [Process.uid.to_s]] }");
        std::os::unix::fs::symlink("real.ru", app.path("config.ru")).unwrap();
        let games = named("games");
        std::os::unix::fs::lchown(app.path("config.ru"), Some(games.uid.as_raw()), Some(games.gid.as_raw()))
            .unwrap();
        app
    });
    assert_eq!(setup.nginx.get("/").expect(200).text(), named("games").uid.to_string());
}

#[test]
fn no_app_keeps_groups_of_root() {
    if needs_root("no_app_keeps_groups_of_root") {
        return;
    }
    let setup = OneApp::app("", |app| {
        app.ruby("run ->(env) { [200, {}, [Process.groups.sort.join(' ')]] }").owned_by("games")
    });
    let groups = setup.nginx.get("/").expect(200).text();
    assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
}

#[test]
fn an_inaccessible_app_is_refused_with_the_directory_named() {
    if needs_root("an_inaccessible_app_is_refused_with_the_directory_named") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let setup = OneApp::app("", |app| {
        std::fs::set_permissions(app.dir(), std::fs::Permissions::from_mode(0o700)).unwrap();
        app.ruby("run ->(env) { [200, {}, ['never']] }")
    });
    assert_eq!(setup.nginx.get("/").status(), 500);
    eventually("the log names directory and user", || {
        let log = setup.daemon.log();
        log.lines().any(|line| line.contains("nobody"))
            && log.contains(&setup.app.dir().display().to_string())
    });
}

#[test]
fn an_app_inherits_no_descriptors_of_the_daemon() {
    let ruby = "run ->(env) { [200, {}, [Dir.children('/proc/self/fd').map { |fd| File.readlink(\"/proc/self/fd/#{fd}\") rescue nil }.compact.join(\"\\n\")]] }";
    let setup = OneApp::app("", |app| app.ruby(ruby));
    let open = setup.nginx.get("/").expect(200).text();
    for line in open.lines() {
        assert!(!line.contains("fly.sock") && !line.contains("memfd"), "{open}");
    }
    // stdin, stdout, stderr, the listening socket, this connection, Ruby's own few.
    assert!(open.lines().count() <= 16, "{open}");
}

fn named(name: &str) -> User {
    User::from_name(name).unwrap().unwrap_or_else(|| panic!("there is no user {name}"))
}

#[test]
fn the_default_user_of_the_daemon_is_used() {
    if needs_root("the_default_user_of_the_daemon_is_used") {
        return;
    }
    let setup = OneApp::with(Language::Python, "", |daemon| daemon.flag("--default-user=games"));
    assert!(setup.nginx.get("/uid").expect(200).text().contains(" games "));
}

/// The kernel says of the process itself whether it may.
#[test]
fn an_app_cannot_gain_privileges_when_forbidden() {
    const APP: &str = "run ->(_) { [200, {}, [File.read('/proc/self/status')[/NoNewPrivs:\\s*(\\d)/, 1]]] }";
    for (lines, reported) in [
        ("", "0"),
        ("passenger_no_new_privs on; passenger_spawn_method direct;", "1"),
        ("passenger_no_new_privs on; passenger_spawn_method smart;", "1"),
        ("passenger_no_new_privs off;", "0"),
    ] {
        let setup = OneApp::app(lines, |app| app.ruby(APP));
        assert_eq!(setup.nginx.get("/").expect(200).text(), reported, "{lines}");
    }
}
