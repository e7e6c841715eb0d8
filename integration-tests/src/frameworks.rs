//! Installed frameworks. `frameworks/install.sh` installs them; a missing one fails the test with its name.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths;

/// Asserts that a file of a Debian package exists.
#[track_caller]
pub fn require_debian_package(package: &str, file: &str) {
    assert!(
        Path::new(file).exists(),
        "the package {package} is not installed: run integration-tests/frameworks/install.sh"
    );
}

/// Makes the installed `node_modules` available to an app.
pub fn node_modules(app: &Path) {
    let from = framework("node/node_modules");
    assert!(
        from.join("fastify").exists(),
        "the frameworks for Node.js are not installed in {}: run integration-tests/frameworks/install.sh",
        from.display()
    );
    share(&from, &app.join("node_modules"));
}

/// A file of an installed package.
pub fn node_package(path: &str) -> PathBuf {
    let path = framework("node/node_modules").join(path);
    assert!(path.exists(), "{} is not there: run integration-tests/frameworks/install.sh", path.display());
    path
}

/// Packages of other versions than those that `node_modules` has: `(name in the app, name in package.json)`.
pub fn node_packages(app: &Path, packages: &[(&str, &str)]) {
    let modules = app.join("node_modules");
    std::fs::create_dir(&modules).unwrap();
    for (name, installed_name) in packages {
        share(&node_package(installed_name), &modules.join(name));
    }
}

/// The Next.js app that is built from `frameworks/next`, as `output: 'standalone'` leaves it.
pub fn next_standalone(app: &Path) {
    let from = framework("node/next/.next/standalone");
    assert!(from.exists(), "{} is not there: run integration-tests/frameworks/install.sh", from.display());
    run(Command::new("cp").arg("-r").arg(from.join(".")).arg(app));
}

/// A link if every user can read its target, else a copy.
fn share(from: &Path, to: &Path) {
    let from = from.canonicalize().unwrap();
    let open_to_all =
        |dir: &Path| dir.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o005 == 0o005);
    if from.ancestors().all(open_to_all) {
        std::os::unix::fs::symlink(&from, to).unwrap();
    } else {
        run(Command::new("cp").arg("-r").arg(&from).arg(to));
    }
}

/// The virtual environment with Python's frameworks, as `venv` in an app's directory: a link, or a copy where the app's
/// user cannot read the checkout.
pub fn python_venv(app: &Path) {
    let from = framework("python/venv");
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

/// Copies the prepared Redmine into an app.
pub fn redmine(app: &Path) {
    let from = framework("redmine");
    assert!(
        from.join("prepared").exists(),
        "there is no Redmine in {}: run integration-tests/frameworks/install.sh",
        from.display()
    );
    run(Command::new("cp").arg("-r").arg(from.join(".")).arg(app));
}

/// Generic applications of `frameworks/generic/`, copied.
pub fn generic_sources(app: &Path, names: &[&str]) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks/generic");
    for name in names {
        std::fs::copy(from.join(name), app.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Python packages for generic applications, copied to `site`, for `PYTHONPATH`: those named, or all.
pub fn generic_python(app: &Path, names: &[&str]) {
    let from = framework("generic-python");
    let site = std::fs::read_dir(from.join("lib")).ok().and_then(|mut each| each.next()).and_then(Result::ok);
    let Some(site) = site.filter(|_| from.join("installed.txt").exists()) else {
        panic!("no Python packages in {}: run integration-tests/frameworks/install.sh", from.display());
    };
    let site = site.path().join("site-packages");
    std::fs::create_dir_all(app.join("site")).unwrap();
    let names = if names.is_empty() { &["."] } else { names };
    // Compiled files are used only if the times of their sources match.
    let mut copy = Command::new("cp");
    copy.args(["-r", "--preserve=timestamps"]).args(names.iter().map(|name| site.join(name)));
    run(copy.arg(app.join("site")));
}

/// The compiled Go server, copied.
pub fn generic_go(app: &Path) {
    let server = framework("generic-go/server");
    std::fs::copy(&server, app.join("server")).unwrap_or_else(|error| {
        panic!("{error}: {}: run integration-tests/frameworks/install.sh", server.display())
    });
}

/// Where a framework is installed.
pub fn framework(name: &str) -> PathBuf {
    let dir = std::env::var_os("FLYING_PASSENGER_FRAMEWORKS_DIR");
    dir.map_or_else(|| paths::cache().join("frameworks"), PathBuf::from).join(name)
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
