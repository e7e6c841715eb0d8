//! Fresh installations of Debian, its packages and this project's packages. Root only.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths;

/// The files of a freshly installed Debian, created by the first call; an error if that fails.
pub fn clean_debian() -> Result<PathBuf, String> {
    debian("clean-debian", None)
}

/// The same for another release of Debian.
pub fn clean_debian_of(suite: &str) -> Result<PathBuf, String> {
    debian(&format!("clean-debian-{suite}"), Some(suite))
}

fn debian(name: &str, suite: Option<&str>) -> Result<PathBuf, String> {
    let root = paths::cache().join(name);
    script("systemd/debian.sh", &mut [root.as_os_str()].into_iter().chain(suite.map(AsRef::as_ref)))?;
    Ok(root.join("tree"))
}

/// A directory with packages of Debian and everything that a freshly installed one lacks for them.
pub fn debian_archive(package: &str) -> Result<PathBuf, String> {
    let (tree, directory) = (clean_debian()?, paths::cache().join("debian-packages").join(package));
    script(
        "systemd/download.sh",
        &mut [tree.as_os_str(), directory.as_os_str(), package.as_ref()].into_iter(),
    )?;
    Ok(directory)
}

fn script(path: &str, arguments: &mut dyn Iterator<Item = &std::ffi::OsStr>) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let output = Command::new(script).args(arguments).output().map_err(|why| why.to_string())?;
    let stderr = || String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(stderr()) }
}

/// Builds the Debian packages of the daemon and the module for the installed nginx in a directory.
pub fn debian_packages(directory: &Path) -> [PathBuf; 2] {
    debian_packages_of(directory, None)
}

/// The same with the module for the nginx of a release of Debian.
pub fn debian_packages_of(directory: &Path, suite: Option<&str>) -> [PathBuf; 2] {
    let mut build = Command::new(paths::workspace().join("packaging/deb/build.sh"));
    let output = build.arg(directory).args(suite).output().expect("build.sh cannot be run");
    assert!(output.status.success(), "no packages: {}", String::from_utf8_lossy(&output.stderr));
    ["flying-passenger_", "libnginx-mod-http-flying-passenger_"].map(|name| {
        let mut all = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let found = all.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(name));
        found.unwrap_or_else(|| panic!("there is no package {name}"))
    })
}
