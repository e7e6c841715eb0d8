//! Paths of the programs under test: set in the environment, or below `target/release`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// One of the project's programs: in `$FLYING_PASSENGER_BIN_DIR`, or where `make build` puts it.
pub fn binary(name: &str) -> PathBuf {
    let dir = env::var_os("FLYING_PASSENGER_BIN_DIR").map_or_else(built, PathBuf::from);
    existing(dir.join(name))
}

/// A command that runs a program with the default action of SIGINT, which background jobs ignore.
pub fn interruptible(program: &str) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(binary(program));
    command
}

/// The nginx module: `$PASSENGER_MODULE`, or where `make build` puts it.
pub fn module() -> PathBuf {
    existing(
        env::var_os("PASSENGER_MODULE")
            .map_or_else(|| built().join("libngx_http_passenger_module.so"), PathBuf::from),
    )
}

/// The nginx that the module was built for: `$NGINX`, or the installed one.
pub fn nginx_binary() -> PathBuf {
    if let Some(path) = env::var_os("NGINX") {
        return PathBuf::from(path);
    }
    let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists());
    found.expect("no nginx is installed: run `apt-get install nginx-light`, or set NGINX=/path/to/nginx")
}

/// The directory of the loaders.
pub(crate) fn loaders() -> PathBuf {
    env::var_os("FLYING_PASSENGER_LOADERS_DIR")
        .map_or_else(|| existing(workspace().join("daemon/loaders")), PathBuf::from)
}

/// `target/`, where the frameworks are kept between runs.
pub(crate) fn cache() -> PathBuf {
    workspace().join("target")
}

fn built() -> PathBuf {
    workspace().join("target/release")
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `make build`", path.display());
    path
}
