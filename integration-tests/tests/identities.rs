//! Users and groups that are refused for apps: those of root, and those with access to nginx's socket or the router.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::unistd::User;
use test_support::{ONE_APP_CONF, OneApp, TestDir, eventually, is_root, skipped};

const GROUPS: &str = "run ->(_) { [200, {}, [([Process.gid] + Process.groups).join(' ')]] }";
const USER: &str = "run ->(_) { [200, {}, [\"#{Process.uid} #{Process.gid}\"]] }";

/// True, with a loud line, where the test cannot be run.
fn needs_root(test: &str) -> bool {
    if !is_root() {
        skipped(test, "users are switched by root only");
    }
    !is_root()
}

fn named(name: &str) -> User {
    User::from_name(name).unwrap().unwrap_or_else(|| panic!("there is no user {name}"))
}

/// The reason why the app is not started, which the page in development shows and the log holds.
#[track_caller]
fn refusal(setup: &OneApp) -> String {
    let answer = setup.nginx.get("/");
    assert_eq!(answer.status(), 500, "{}", answer.text());
    setup.daemon.logs_eventually("what to do: ");
    let log = setup.daemon.log();
    let mut lines = log.lines().skip_while(|line| !line.contains(" could not be started: "));
    let (_, cause) = lines.next().and_then(|line| line.split_once(" could not be started: ")).unwrap();
    let cause = cause.split(" [error ID ").next().unwrap();
    let remedy = lines.find_map(|line| line.split_once("what to do: ")).expect("the log has the remedy").1;
    let page = answer.text().replace("&quot;", "\"").replace("&#39;", "'").to_lowercase();
    for part in [cause, remedy] {
        assert!(page.contains(&part.to_lowercase()), "{part} is not on the page: {page}");
    }
    format!("{cause}: {remedy}")
}

const DEVELOPMENT: &str = "passenger_app_env development;";

#[test]
fn no_default_group_gives_an_app_the_group_of_root() {
    if needs_root("no_default_group_gives_an_app_the_group_of_root") {
        return;
    }
    let test_dir = TestDir::new();
    let _app = test_dir.app("app").ruby(GROUPS);
    let daemon = test_dir.daemon().start();
    let conf =
        ONE_APP_CONF.replace("%%HTTP%%", "%%HTTP%% passenger_default_group root;").replace("%%APP%%", "");
    let nginx = test_dir.nginx(&conf).start();
    let groups = nginx.get("/").expect(200).text();
    assert!(groups.split(' ').all(|group| group != "0"), "{groups}");
    daemon.logs_eventually("group 0 is for root alone");
    let output = TestDir::new().daemon().flag("--default-group=root").output();
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn an_app_of_nginxs_user_is_refused_unless_the_operator_allows_it() {
    if needs_root("an_app_of_nginxs_user_is_refused_unless_the_operator_allows_it") {
        return;
    }
    let app = |app: test_support::App| app.ruby(USER).owned_by("www-data");
    let setup = OneApp::app(DEVELOPMENT, app);
    let reason = refusal(&setup);
    let socket = setup.test_dir.socket();
    for part in ["www-data", &socket.display().to_string(), "chown", "--allow-app-users=www-data"] {
        assert!(reason.contains(part), "{part} is missing: {reason}");
    }
    let user = named("www-data");
    let whole = format!("{} {}", user.uid, user.gid);
    for flag in ["--allow-app-users=games,www-data", "--allow-app-groups=www-data"] {
        let setup = OneApp::custom("", |daemon| daemon.flag(flag), app);
        assert_eq!(setup.nginx.get("/").expect(200).text(), whole, "{flag}");
    }
    let setup = OneApp::custom("", |daemon| daemon.configured("allow_app_users = \"www-data\"\n"), app);
    assert_eq!(setup.nginx.get("/").expect(200).text(), whole);
}

#[test]
fn an_app_that_may_connect_by_owner_or_mode_is_refused() {
    if needs_root("an_app_that_may_connect_by_owner_or_mode_is_refused") {
        return;
    }
    for flags in
        [["--socket-owner=games", "--socket-mode=0600"], ["--socket-owner=root", "--socket-mode=0666"]]
    {
        let daemon = |daemon: test_support::DaemonBuilder| daemon.flag(flags[0]).flag(flags[1]);
        let setup = OneApp::custom(DEVELOPMENT, daemon, |app| app.ruby(USER).owned_by("games"));
        let reason = refusal(&setup);
        assert!(reason.contains("--allow-app-users=games"), "{flags:?}: {reason}");
    }
}

/// Who owns a directory further up renames what is in it, and makes another with a socket of the same name.
#[test]
fn an_app_that_owns_a_directory_above_the_sockets_is_refused() {
    if needs_root("an_app_that_owns_a_directory_above_the_sockets_is_refused") {
        return;
    }
    let test_dir = TestDir::new();
    let _app = test_dir.app("app").ruby(USER).owned_by("games");
    let games = named("games");
    let (home, link) = (test_dir.path("home"), test_dir.path("link"));
    let run = home.join("run");
    std::fs::create_dir_all(&run).unwrap();
    std::os::unix::fs::chown(&home, Some(games.uid.as_raw()), None).unwrap();
    std::os::unix::fs::symlink(&run, &link).unwrap();
    for place in [run, link] {
        let socket = place.join("socket");
        let daemon = test_dir.daemon().flag(&format!("--socket-file={}", socket.display())).start();
        let conf = ONE_APP_CONF.replace("%%SOCKET%%", &socket.display().to_string());
        let nginx = test_dir.nginx(&conf.replace("%%APP%%", DEVELOPMENT)).start();
        assert_eq!(nginx.get("/").status(), 500, "{}", place.display());
        daemon.logs_eventually("can replace nginx's socket");
    }
}

/// As the service manager may have created it, and as an administrator may have changed it.
#[test]
fn the_socket_of_a_service_manager_is_checked_as_it_is() {
    if needs_root("the_socket_of_a_service_manager_is_checked_as_it_is") {
        return;
    }
    let test_dir = TestDir::new();
    let _app = test_dir.app("app").ruby(USER).owned_by("games");
    let daemon = test_dir.daemon().activated(test_dir.socket()).start();
    std::os::unix::fs::chown(test_dir.socket(), None, Some(named("games").gid.as_raw())).unwrap();
    std::fs::set_permissions(test_dir.socket(), std::fs::Permissions::from_mode(0o660)).unwrap();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", DEVELOPMENT)).start();
    assert_eq!(nginx.get("/").status(), 500);
    daemon.logs_eventually("--allow-app-groups=games");
    std::fs::set_permissions(test_dir.socket(), std::fs::Permissions::from_mode(0o600)).unwrap();
    nginx.get("/").expect(200);
}

#[test]
fn a_group_comes_from_the_user_or_from_the_operators_list() {
    if needs_root("a_group_comes_from_the_user_or_from_the_operators_list") {
        return;
    }
    for group in ["shadow", "disk", "kmem"] {
        let lines = format!("passenger_group {group}; {DEVELOPMENT}");
        let reason = refusal(&OneApp::app(&lines, |app| app.ruby(GROUPS).owned_by("games")));
        for part in ["\"games\"", group, "--allow-app-groups"] {
            assert!(reason.contains(part), "{part} is missing: {reason}");
        }
    }
    let setup = OneApp::custom(
        "passenger_group staff;",
        |daemon| daemon.flag("--allow-app-groups=staff"),
        |app| app.ruby(GROUPS).owned_by("games"),
    );
    let staff = nix::unistd::Group::from_name("staff").unwrap().unwrap().gid.to_string();
    let groups = setup.nginx.get("/").expect(200).text();
    assert!(groups.split(' ').any(|group| group == staff), "{groups}");
}

#[test]
fn a_startup_file_gives_no_group_of_the_system() {
    if needs_root("a_startup_file_gives_no_group_of_the_system") {
        return;
    }
    let lines = format!("passenger_user games; passenger_group !STARTUP_FILE!; {DEVELOPMENT}");
    let reason = refusal(&OneApp::app(&lines, |app| app.ruby(GROUPS).owned_by("root:shadow")));
    assert!(reason.contains("shadow"), "{reason}");
}

#[test]
fn no_app_runs_as_the_routers_user_or_with_its_group() {
    if needs_root("no_app_runs_as_the_routers_user_or_with_its_group") {
        return;
    }
    for lines in ["passenger_user news;", "passenger_user games; passenger_group news;"] {
        let daemon = |daemon: test_support::DaemonBuilder| daemon.flag("--router-user=news");
        let setup = OneApp::custom(&format!("{lines} {DEVELOPMENT}"), daemon, |app| app.ruby(USER));
        let reason = refusal(&setup);
        assert!(reason.contains("news"), "{lines}: {reason}");
    }
}

#[test]
fn the_router_can_neither_make_nor_remove_sockets_of_apps() {
    if needs_root("the_router_can_neither_make_nor_remove_sockets_of_apps") {
        return;
    }
    let setup = OneApp::custom(
        "",
        |daemon| daemon.flag("--router-user=news"),
        |app| app.ruby(USER).owned_by("games"),
    );
    setup.nginx.get("/").expect(200);
    let apps = setup.daemon.admin_socket().with_file_name("apps");
    let found = std::fs::metadata(&apps).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (0, named("news").gid.as_raw(), 0o710));
    // The next process has its own socket there, which exists as long as the process.
    test_support::kill_9(setup.daemon.app_pids()[0]);
    eventually("another process answers", || setup.nginx.get("/").status() == 200);
    eventually("one socket is left", || std::fs::read_dir(&apps).unwrap().count() == 1);
}

/// Its standard error is a pipe to the supervisor, so that it cannot cut the log off.

#[test]
fn root_uses_no_program_that_others_can_write() {
    if needs_root("root_uses_no_program_that_others_can_write") {
        return;
    }
    let test_dir = TestDir::new();
    let program = test_dir.path("hook.sh");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = test_dir.daemon().flag(&format!("--hook=spawn_failed={}", program.display())).output();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("chown root and chmod go-w"), "{reported}");
}

#[test]
fn secrets_in_the_environment_of_root_are_named_once() {
    if needs_root("secrets_in_the_environment_of_root_are_named_once") {
        return;
    }
    const APP: &str =
        "run ->(_) { [200, {}, [ENV.fetch('MY_API_KEY', 'none') + ENV.fetch('SHOP_X', 'none')]] }";
    let set = |flag: Option<&str>| {
        let flag = flag.map(str::to_owned);
        let daemon = |daemon: test_support::DaemonBuilder| {
            let daemon = daemon.variable("MY_API_KEY", "k".into()).variable("SHOP_X", "x".into());
            flag.iter().fold(daemon, |daemon, flag| daemon.flag(flag))
        };
        OneApp::custom("passenger_load_shell_envvars off;", daemon, |app| app.ruby(APP))
    };
    let all = set(None);
    assert_eq!(all.nginx.get("/").expect(200).text(), "kx");
    let log = all.daemon.log();
    assert_eq!(log.matches("look like secrets: MY_API_KEY").count(), 1, "{log}");
    let listed = set(Some("--pass-env=SHOP_*"));
    assert_eq!(listed.nginx.get("/").expect(200).text(), "nonex");
    assert!(!listed.daemon.log().contains("look like secrets"));
}

#[test]
fn a_daemon_of_root_refuses_a_router_user_that_others_share() {
    if needs_root("a_daemon_of_root_refuses_a_router_user_that_others_share") {
        return;
    }
    for user in ["daemon", "nobody", "root", "www-data"] {
        let output = TestDir::new().daemon().flag(&format!("--router-user={user}")).output();
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && reported.contains("--router-user: "), "{user}: {reported}");
    }
}

#[test]
fn apps_of_root_are_reported_once_together() {
    if needs_root("apps_of_root_are_reported_once_together") {
        return;
    }
    let setup = OneApp::app("passenger_min_instances 0;", |app| app.ruby(USER));
    setup.nginx.get("/").expect(200);
    let pid = setup.daemon.app_pids()[0];
    test_support::kill_9(pid);
    eventually("another process answers", || setup.nginx.get("/").status() == 200);
    let log = setup.daemon.log();
    assert_eq!(log.matches("as do all apps whose files belong to root").count(), 1, "{log}");
}
