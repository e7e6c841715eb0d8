//! `passenger-config about`: prints paths for scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{TestDir, binary, module, workspace};

/// Status and what is printed of `passenger-config about` below a directory of programs.
fn about(programs: &Path, fact: &str) -> (i32, String) {
    let output = Command::new(programs.join("passenger-config")).args(["about", fact]).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn reported(path: PathBuf) -> (i32, String) {
    (0, path.display().to_string())
}

fn nothing(status: i32) -> (i32, String) {
    (status, String::new())
}

#[test]
fn about_shows_paths_of_a_source_tree() {
    let programs = binary("passenger-config").parent().unwrap().to_owned();
    let loaders = workspace().join("daemon/loaders");
    for (fact, expected) in [
        ("version", (0, env!("CARGO_PKG_VERSION").to_owned())),
        ("root", reported(workspace().join("daemon"))),
        ("resourcesdir", reported(workspace().join("daemon"))),
        ("loaders-dir", reported(loaders.clone())),
        ("nginx-module", reported(module())),
        ("support-binaries-dir", reported(programs.clone())),
        ("compiled", nothing(0)),
        ("custom-packaged", nothing(1)),
        ("installed-from-release-package", nothing(1)),
        ("nonsense", nothing(1)),
    ] {
        assert_eq!(about(&programs, fact), expected, "passenger-config {fact}");
    }
}

#[test]
fn about_shows_paths_of_an_installation() {
    let test_dir = TestDir::new();
    let usr = test_dir.path("root/usr");
    let mut make = Command::new("make");
    make.args(["-s", "install", "PREFIX=/usr", &format!("DESTDIR={}", test_dir.path("root").display())]);
    assert!(make.current_dir(workspace()).status().unwrap().success());
    let loaders = usr.join("share/flying-passenger/loaders");
    for (fact, expected) in [
        ("root", reported(usr.join("share/flying-passenger"))),
        ("ruby-libdir", reported(loaders.join("ruby"))),
        ("python-libdir", reported(loaders.join("python"))),
        ("nodejs-libdir", reported(loaders.join("nodejs"))),
        ("nginx-module", reported(usr.join("lib/nginx/modules/ngx_http_passenger_module.so"))),
        ("support-binaries-dir", reported(usr.join("sbin"))),
        ("custom-packaged", nothing(0)),
        ("installed-from-release-package", nothing(1)),
    ] {
        assert_eq!(about(&usr.join("bin"), fact), expected, "passenger-config {fact}");
    }
    std::fs::remove_dir_all(&loaders).unwrap();
    assert_eq!(about(&usr.join("bin"), "loaders-dir"), nothing(1));
}

#[test]
fn switches_of_passenger_are_accepted() {
    let config = |arguments: &[&str]| {
        let output = Command::new(binary("passenger-config")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(config(&["--version"]), (0, concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()));
    assert_eq!(config(&["-V"]), config(&["--version"]));
    assert_eq!(config(&["--root"]), config(&["about", "root"]));
    let (status, help) = config(&[]);
    assert!(status == 0 && help.contains("\n  restart-app "), "without a command it lists them: {help}");
    assert_eq!(config(&["no-such-command"]).0, 1);
}
