//! `passenger-config validate-install`: a complete installation, and one with each of the defects that it detects.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use test_support::{FakeInstance, TestDir, is_root, workspace};

/// A separate installation, which a test may break.
pub(crate) struct Installed {
    pub(crate) usr: PathBuf,
    test_dir: TestDir,
}

impl Installed {
    pub(crate) fn new() -> Self {
        let test_dir = TestDir::new();
        let mut make = Command::new("make");
        make.args(["-s", "install", "PREFIX=/usr", &format!("DESTDIR={}", test_dir.path("root").display())]);
        assert!(make.current_dir(workspace()).status().unwrap().success());
        fs::create_dir(test_dir.path("registry")).unwrap();
        Self { usr: test_dir.path("root/usr"), test_dir }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.usr.join("bin/passenger-config"));
        command
            .arg("validate-install")
            .env("PASSENGER_INSTANCE_REGISTRY_DIR", self.test_dir.path("registry"));
        command
    }

    /// Exit status and what is printed.
    fn validate(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command().args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    /// It must find this wrong: the check's line with its mark, and the advice.
    #[track_caller]
    pub(crate) fn finds(&self, line: &str, advice: &str) {
        let (status, reported) = self.validate(&[]);
        let mark = line.chars().next_back().unwrap();
        assert_eq!(status, if mark == '✗' { 1 } else { 2 }, "{reported}");
        let found = reported.split(&format!(" * Checking {line}\n")).nth(1);
        let found = found.unwrap_or_else(|| panic!("{line} is not in {reported}"));
        assert!(
            found.split(" * ").next().unwrap().contains(advice),
            "{advice} is not the advice: {reported}"
        );
    }
}

#[test]
fn a_whole_installation_with_a_daemon_has_no_errors() {
    let installed = Installed::new();
    let _daemon = installed.test_dir.daemon().start();
    let (status, reported) = installed.validate(&["--auto"]);
    assert!([0, 2].contains(&status) && !reported.contains('✗'), "{reported}");
    for line in [
        "whether all programs exist and are of one release... ✓",
        "whether apps can read the loaders... ✓",
        "for interpreters... ✓",
        "for the nginx module... ✓",
        "whether nginx loads the module... ✓",
        "whether running daemons respond... ✓",
        "whether running daemons are of this release... ✓",
    ] {
        assert!(reported.contains(line), "{line} is not in {reported}");
    }
    assert_eq!(reported.contains("Everything looks good."), status == 0, "{reported}");
    let (_, short) = installed.validate(&["--no-summary"]);
    assert!(reported.trim_end().starts_with(short.trim_end()) && short.len() < reported.len(), "{short}");
}

#[test]
fn without_a_daemon_it_warns() {
    Installed::new().finds("whether running daemons respond... !", "systemctl start flying-passenger");
}

#[test]
fn a_program_that_is_missing_or_of_another_release_is_named() {
    const LINE: &str = "whether all programs exist and are of one release... ✗";
    let installed = Installed::new();
    let daemon = installed.usr.join("sbin/flying-passenger");
    fs::remove_file(&daemon).unwrap();
    installed.finds(LINE, "cannot find flying-passenger");
    fs::write(&daemon, "#!/bin/sh\necho flying-passenger 0.0.9\n").unwrap();
    fs::set_permissions(&daemon, Permissions::from_mode(0o755)).unwrap();
    installed.finds(LINE, "is \"flying-passenger 0.0.9\" instead of ");
}

#[test]
fn unreadable_loaders_are_named() {
    let installed = Installed::new();
    let line = if is_root() {
        "whether apps can read the loaders... ✗"
    } else {
        "whether apps can read the loaders... !"
    };
    let loaders = installed.usr.join("share/flying-passenger/loaders");
    fs::set_permissions(loaders.join("ruby/rack-loader.rb"), Permissions::from_mode(0o600)).unwrap();
    installed.finds(line, &format!("Run: chmod -R o+rX {}", loaders.display()));
    fs::set_permissions(loaders.join("ruby/rack-loader.rb"), Permissions::from_mode(0o644)).unwrap();
    let share = installed.usr.join("share");
    fs::set_permissions(&share, Permissions::from_mode(0o700)).unwrap();
    installed.finds(line, &format!("Run: chmod o+x {}\n", share.display()));
    fs::remove_dir_all(&loaders).unwrap();
    installed.finds("whether apps can read the loaders... ✗", "run make install again");
}

#[test]
fn errors_of_nginx_about_the_module_are_reported() {
    let installed = Installed::new();
    let module = installed.usr.join("lib/nginx/modules/ngx_http_passenger_module.so");
    fs::write(&module, "no module at all, but some bytes that are long enough to be read as a head of one")
        .unwrap();
    installed.finds("whether nginx loads the module... ✗", "invalid ELF header");
    installed.finds("whether nginx loads the module... ✗", "flying-passenger-gate: docs/FALLBACK.md");
    fs::remove_file(&module).unwrap();
    installed.finds("for the nginx module... ✗", "Install the package libnginx-mod-http-flying-passenger");
}

#[test]
fn a_registry_that_others_can_write_is_an_error() {
    let installed = Installed::new();
    fs::set_permissions(installed.test_dir.path("registry"), Permissions::from_mode(0o777)).unwrap();
    installed
        .finds("the directory where daemons register... ✗", "users other than its owner can write to it");
}

#[test]
fn unresponsive_and_outdated_daemons_are_named() {
    let installed = Installed::new();
    let _fake =
        FakeInstance::answering(&installed.test_dir.path("registry"), 503, "{\"message\": \"not now\"}");
    let (status, reported) = installed.validate(&[]);
    assert_eq!(status, 1);
    assert!(
        reported.contains("respond... ✗\n   FakeFake (PID ") && reported.contains("): not now\n"),
        "{reported}"
    );
    assert!(
        reported.contains("are of this release... !\n") && reported.contains("is of release 0.0.0, but "),
        "{reported}"
    );
}

#[test]
fn without_any_interpreter_it_warns() {
    let installed = Installed::new();
    let output = installed.command().env("PATH", "/nonexistent").output().unwrap();
    let reported = String::from_utf8(output.stdout).unwrap();
    assert!(
        reported.contains("for interpreters... !\n   PATH contains none of ruby, python3 and node"),
        "{reported}"
    );
    // nginx is looked for in other places as well.
    assert!(
        reported.contains("whether nginx loads the module... ✓")
            || test_support::nginx_binary().starts_with("/opt"),
        "{reported}"
    );
}

#[test]
fn a_terminal_has_colours_unless_disabled() {
    let installed = Installed::new();
    let on_terminal = |flag: &str| {
        let program = installed.usr.join("bin/passenger-config").display().to_string();
        let command = [&program, "validate-install", flag].join(" ");
        let mut script = Command::new("script");
        script
            .args(["-qec", &command, "/dev/null"])
            .env("PASSENGER_INSTANCE_REGISTRY_DIR", installed.test_dir.path("registry"));
        String::from_utf8(script.output().unwrap().stdout).unwrap()
    };
    assert!(on_terminal("").contains("\x1b[32m✓\x1b[0m"));
    let plain = on_terminal("--no-colors");
    assert!(plain.contains('✓') && !plain.contains('\x1b'), "{plain}");
}
