//! Frameworks that nobody here wrote. `frameworks/install.sh` installs them; a missing one fails with its name.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::places;

/// Asserts that a Debian package's file is there.
#[track_caller]
pub fn require_debian_package(package: &str, file: &str) {
    assert!(
        Path::new(file).exists(),
        "the package {package} is not installed: run integration-tests/frameworks/install.sh"
    );
}

/// The installed `node_modules`, copied to where an app's user can read them.
pub fn node_modules(app: &Path) {
    let from = installed("node/node_modules");
    assert!(
        from.join("socket.io").exists(),
        "express, ws and socket.io are not installed in {}: run integration-tests/frameworks/install.sh",
        from.display()
    );
    run(Command::new("cp").arg("-r").arg(&from).arg(app.join("node_modules")));
}

/// The virtual environment with Python's frameworks, as `venv` in an app's directory: a link, or a copy where the app's
/// user cannot read the checkout.
pub fn python_venv(app: &Path) {
    let from = installed("python/venv");
    assert!(
        from.join("installed.txt").exists(),
        "Python's frameworks are not installed in {}: run integration-tests/frameworks/install.sh",
        from.display()
    );
    let to = app.join("venv");
    if from.ancestors().all(is_open_to_all) {
        std::os::unix::fs::symlink(&from, &to).unwrap();
    } else {
        run(Command::new("cp").arg("-r").arg(&from).arg(&to));
    }
}

fn is_open_to_all(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o005 == 0o005)
}

/// The prepared Redmine, copied to be an app of its own.
pub fn redmine(app: &Path) {
    let from = installed("redmine");
    assert!(
        from.join("prepared").exists(),
        "there is no Redmine in {}: run integration-tests/frameworks/install.sh",
        from.display()
    );
    run(Command::new("cp").arg("-r").arg(from.join(".")).arg(app));
}

fn installed(name: &str) -> PathBuf {
    let dir = std::env::var_os("FLYING_PASSENGER_FRAMEWORKS_DIR");
    dir.map_or_else(|| places::cache().join("frameworks"), PathBuf::from).join(name)
}

/// Runs a command that has to succeed, and returns what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed ({}):\n{text}{errors}", output.status);
    text
}
