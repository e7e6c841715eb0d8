//! `passenger-config about`: prints paths for scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use stage::{Stage, binary, module, workspace};

/// Status and what is printed of `passenger-config about` below a directory of programs.
fn about(programs: &Path, fact: &str) -> (i32, String) {
    let output = Command::new(programs.join("passenger-config")).args(["about", fact]).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn told(path: PathBuf) -> (i32, String) {
    (0, path.display().to_string())
}

fn nothing(status: i32) -> (i32, String) {
    (status, String::new())
}

#[test]
fn in_a_source_tree_it_tells_of_the_tree() {
    let programs = binary("passenger-config").parent().unwrap().to_owned();
    let loaders = workspace().join("daemon/loaders");
    for (fact, expected) in [
        ("version", (0, env!("CARGO_PKG_VERSION").to_owned())),
        ("root", told(workspace().join("daemon"))),
        ("resourcesdir", told(workspace().join("daemon"))),
        ("loaders-dir", told(loaders.clone())),
        ("nginx-module", told(module())),
        ("support-binaries-dir", told(programs.clone())),
        ("compiled", nothing(0)),
        ("custom-packaged", nothing(1)),
        ("installed-from-release-package", nothing(1)),
        ("nonsense", nothing(1)),
    ] {
        assert_eq!(about(&programs, fact), expected, "passenger-config {fact}");
    }
}

#[test]
fn where_it_was_installed_it_tells_of_the_installation() {
    let stage = Stage::new();
    let usr = stage.path("root/usr");
    let mut make = Command::new("make");
    make.args(["-s", "install", "PREFIX=/usr", &format!("DESTDIR={}", stage.path("root").display())]);
    assert!(make.current_dir(workspace()).status().unwrap().success());
    let loaders = usr.join("share/flying-passenger/loaders");
    for (fact, expected) in [
        ("root", told(usr.join("share/flying-passenger"))),
        ("ruby-libdir", told(loaders.join("ruby"))),
        ("python-libdir", told(loaders.join("python"))),
        ("nodejs-libdir", told(loaders.join("nodejs"))),
        ("nginx-module", told(usr.join("lib/nginx/modules/ngx_http_passenger_module.so"))),
        ("support-binaries-dir", told(usr.join("sbin"))),
        ("custom-packaged", nothing(0)),
        ("installed-from-release-package", nothing(1)),
    ] {
        assert_eq!(about(&usr.join("bin"), fact), expected, "passenger-config {fact}");
    }
    std::fs::remove_dir_all(&loaders).unwrap();
    assert_eq!(about(&usr.join("bin"), "loaders-dir"), nothing(1));
}

#[test]
fn old_switches_are_understood() {
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
