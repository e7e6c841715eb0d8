//! Users of the processes: as root, users are switched; as an ordinary user, everything else works.

use nix::unistd::{Uid, User};
use stage::{Language, ONE_APP, Scene, Stage, eventually, for_each_language, is_root, owner_uid};

/// True, with a loud line, where the test cannot be run.
fn needs_root(test: &str) -> bool {
    if !is_root() {
        stage::skipped(test, "users are switched by root only");
    }
    !is_root()
}

for_each_language! {
    fn an_app_runs_as_the_owner_of_its_startup_file(language) {
        if needs_root("an_app_runs_as_the_owner_of_its_startup_file") {
            return;
        }
        let user = named("games");
        let scene = Scene::set(language.directives(), |daemon| daemon, |app| app.standard(language).owned_by("games"));
        let seen = scene.nginx.get("/uid").expect(200).text();
        let home = user.dir.display().to_string();
        assert_eq!(seen, format!("{} {} games {home}", user.uid, user.gid));
        assert_eq!(owner_uid(scene.app_pid()), user.uid.as_raw());
        assert_ne!(owner_uid(scene.daemon.router()), 0, "the router is unprivileged");
        assert_eq!(owner_uid(scene.daemon.pid()), 0, "the supervisor is root");
    }

    fn an_app_of_root_runs_as_nobody(language) {
        if needs_root("an_app_of_root_runs_as_nobody") {
            return;
        }
        let scene = Scene::of(language);
        let user = named("nobody");
        let seen = scene.nginx.get("/uid").expect(200).text();
        assert!(seen.starts_with(&format!("{} {} nobody ", user.uid, user.gid)), "{seen}");
    }

    fn an_ordinary_user_serves_its_own_apps(language) {
        let stage = Stage::new();
        stage.app("app").standard(language);
        let mut daemon = stage.daemon();
        let mut expected = Uid::current().as_raw();
        if is_root() {
            let user = named("games");
            std::os::unix::fs::chown(stage.dir(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
            daemon = daemon.as_user(user.uid.as_raw(), user.gid.as_raw());
            expected = user.uid.as_raw();
        }
        let daemon = daemon.start();
        let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", language.directives())).start();
        let pid: u32 = nginx.get("/pid").expect(200).text().parse().unwrap();
        assert_eq!(owner_uid(pid), expected);
        assert_eq!(owner_uid(daemon.router()), expected);
        daemon.kill_router();
        assert_eq!(nginx.get("/pid").expect(200).text(), pid.to_string());
        stage::kill_9(pid);
        eventually("another process is there", || daemon.app_pids().iter().any(|each| *each != pid));
    }
}

#[test]
fn a_symlinks_own_owner_counts() {
    if needs_root("a_symlinks_own_owner_counts") {
        return;
    }
    let scene = Scene::app("", |app| {
        let app = app.file("real.ru", "run ->(env) { [200, {}, [Process.uid.to_s]] }");
        std::os::unix::fs::symlink("real.ru", app.path("config.ru")).unwrap();
        let games = named("games");
        std::os::unix::fs::lchown(app.path("config.ru"), Some(games.uid.as_raw()), Some(games.gid.as_raw()))
            .unwrap();
        app
    });
    assert_eq!(scene.nginx.get("/").expect(200).text(), named("games").uid.to_string());
}

#[test]
fn no_app_keeps_groups_of_root() {
    if needs_root("no_app_keeps_groups_of_root") {
        return;
    }
    let scene = Scene::app("", |app| {
        app.ruby("run ->(env) { [200, {}, [Process.groups.sort.join(' ')]] }").owned_by("games")
    });
    let groups = scene.nginx.get("/").expect(200).text();
    assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
}

#[test]
fn an_app_that_its_user_cannot_reach_is_refused_with_the_directory_named() {
    if needs_root("an_app_that_its_user_cannot_reach_is_refused_with_the_directory_named") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::app("", |app| {
        std::fs::set_permissions(app.dir(), std::fs::Permissions::from_mode(0o700)).unwrap();
        app.ruby("run ->(env) { [200, {}, ['never']] }")
    });
    assert_eq!(scene.nginx.get("/").status(), 500);
    eventually("the log names directory and user", || {
        let log = scene.daemon.log();
        log.lines().any(|line| line.contains("nobody"))
            && log.contains(&scene.app.dir().display().to_string())
    });
}

#[test]
fn descriptors_of_the_daemon_do_not_reach_an_app() {
    let ruby = "run ->(env) { [200, {}, [Dir.children('/proc/self/fd').map { |fd| File.readlink(\"/proc/self/fd/#{fd}\") rescue nil }.compact.join(\"\\n\")]] }";
    let scene = Scene::app("", |app| app.ruby(ruby));
    let open = scene.nginx.get("/").expect(200).text();
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
    let scene = Scene::with(Language::Python, "", |daemon| daemon.flag("--default-user=games"));
    assert!(scene.nginx.get("/uid").expect(200).text().contains(" games "));
}

/// The kernel says of the process itself whether it may.
#[test]
fn an_app_gains_no_rights_where_that_is_forbidden() {
    const APP: &str = "run ->(_) { [200, {}, [File.read('/proc/self/status')[/NoNewPrivs:\\s*(\\d)/, 1]]] }";
    for (lines, told) in [
        ("", "0"),
        ("passenger_no_new_privs on; passenger_spawn_method direct;", "1"),
        ("passenger_no_new_privs on; passenger_spawn_method smart;", "1"),
        ("passenger_no_new_privs off;", "0"),
    ] {
        let scene = Scene::app(lines, |app| app.ruby(APP));
        assert_eq!(scene.nginx.get("/").expect(200).text(), told, "{lines}");
    }
}
