//! `passenger_load_shell_envvars`: variables that the user's login shell exports reach the app, in Passenger's order.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use test_support::{
    DaemonBuilder, Language, Nginx, ONE_APP_CONF, TestDir, eventually, for_each_language, is_root, skipped,
};

const PROFILE: &str = r#"
export FRUIT="a pear's" RAILS_ENV=wrong MINE=profile PATH="$HOME/bin:$PATH"
cd /
"#;

const UID: u32 = 54321;
/// The group `games`, which every Debian has.
const GID: u32 = 60;

struct Setup {
    nginx: Nginx,
    daemon: test_support::Daemon,
    _test_dir: TestDir,
}

/// The standard app of a user whose shell reads this profile. `None` when the test cannot switch users.
fn setup(test: &str, language: Language, shell: &str, profile: &str, lines: &str) -> Option<Setup> {
    if !is_root() {
        skipped(test, "only root can show the daemon another /etc/passwd");
        return None;
    }
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(language);
    let home = test_dir.path("home");
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::write(home.join(".profile"), profile).unwrap();
    for program in ["ruby", "python3", "node"] {
        let wrapper = home.join("bin").join(program);
        // As version managers do it: a program of the interpreter's name that is found first.
        let rest = "PATH=${PATH#*:}; export WRAPPED=yes";
        fs::write(&wrapper, format!("#!/bin/sh\n{rest}\nexec {program} \"$@\"\n")).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(app.dir(), Some(UID), Some(GID)).unwrap();
    let account = format!("visitor:x:{UID}:{GID}::{}:{shell}\n", home.display());
    let daemon: DaemonBuilder = test_dir.daemon().with_accounts(&account);
    let daemon = daemon.start();
    let lines = format!("passenger_user visitor; passenger_env_var MINE mine; {lines}");
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    Some(Setup { nginx, daemon, _test_dir: test_dir })
}

impl Setup {
    fn environ(&self, name: &str) -> String {
        self.nginx.get(&format!("/environ?name={name}")).expect(200).text()
    }
}

for_each_language! {
    [ruby, python, node]
    fn exports_of_the_profile_reach_the_app(language) {
        for shell in ["/bin/bash", "/bin/sh"] {
            let Some(setup) = setup("what_the_profile_exports", language, shell, PROFILE, "") else { return };
            assert_eq!(setup.environ("FRUIT"), "a pear's", "{shell}");
            assert_eq!(setup.environ("RAILS_ENV"), "production", "the daemon's values take precedence");
            assert_eq!(setup.environ("MINE"), "mine", "and what nginx.conf says");
            assert_eq!(setup.environ("WRAPPED"), "yes", "the interpreter is found with the profile's PATH");
            assert_eq!(setup.environ("PASSENGER_BASE_URI"), "(unset)");
            assert!(setup.environ("PWD").ends_with("/app"));
        }
    }
}

#[test]
fn a_generic_app_gets_the_shells_environment() {
    let command = Language::Generic.directives();
    let Some(setup) = setup("a_generic_app", Language::Generic, "/bin/bash", PROFILE, command) else {
        return;
    };
    assert_eq!(setup.environ("FRUIT"), "a pear's");
    assert_eq!(setup.environ("RAILS_ENV"), "production");
}

#[test]
fn the_shells_environment_can_be_turned_off() {
    let off = "passenger_load_shell_envvars off;";
    let Some(setup) =
        setup("the_shells_environment_can_be_turned_off", Language::Ruby, "/bin/bash", PROFILE, off)
    else {
        return;
    };
    assert_eq!((setup.environ("FRUIT"), setup.environ("MINE")), ("(unset)".into(), "mine".into()));
}

#[test]
fn a_user_without_a_shell_gets_no_shell_environment() {
    let Some(setup) = setup("a_user_without_a_shell", Language::Ruby, "/usr/sbin/nologin", PROFILE, "")
    else {
        return;
    };
    assert_eq!(setup.environ("FRUIT"), "(unset)");
}

#[test]
fn a_hanging_shell_times_out() {
    let lines = "passenger_start_timeout 1; passenger_spawn_method direct;";
    let Some(setup) = setup("a_shell_that_hangs", Language::Ruby, "/bin/bash", "sleep 1000", lines) else {
        return;
    };
    assert_eq!(setup.nginx.get("/").status(), 500);
    setup.daemon.logs_eventually("it was not ready within 1 s (passenger_start_timeout)");
    eventually("nothing of it is left", || setup.daemon.app_pids().is_empty());
}

#[test]
fn a_missing_interpreter_is_named() {
    let lines = "passenger_ruby no-such-ruby;";
    let Some(setup) = setup("an_interpreter", Language::Ruby, "/bin/bash", PROFILE, lines) else { return };
    assert_eq!(setup.nginx.get("/").status(), 500);
    setup.daemon.logs_eventually("cannot run \"no-such-ruby\": not found with the PATH of the login shell");
}

#[test]
fn a_profile_that_exits_is_reported() {
    let Some(setup) = setup("a_profile_that_ends", Language::Ruby, "/bin/bash", "echo oh; exit 3", "") else {
        return;
    };
    assert_eq!(setup.nginx.get("/").status(), 500);
    setup.daemon.logs_eventually("exited with status 3");
}
