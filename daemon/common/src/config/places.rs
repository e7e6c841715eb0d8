//! Default directories of the daemon.

use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::error::ConfigError;

/// The variable that sets the registry for the daemon and the tools.
pub const REGISTRY_VARIABLE: &str = "PASSENGER_INSTANCE_REGISTRY_DIR";

/// Returns the registry: the given one, that of the environment, or the default. Only the default is created if it is
/// missing.
pub(super) fn registry(given: Option<&Path>, euid: Uid) -> Result<PathBuf, ConfigError> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    match std::env::var_os(REGISTRY_VARIABLE).map(PathBuf::from) {
        None => Ok(usual_registry(euid)),
        Some(dir) if dir.is_dir() => {
            std::path::absolute(dir).map_err(|why| ConfigError::new(REGISTRY_VARIABLE, why))
        }
        Some(dir) => {
            let dir = dir.display().to_string();
            Err(ConfigError::value(REGISTRY_VARIABLE, &dir, "must be a directory that exists"))
        }
    }
}

/// Returns the default registry, in which the tools search, too.
pub fn usual_registry(euid: Uid) -> PathBuf {
    if euid.is_root() {
        return PathBuf::from("/run/flying-passenger");
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|dir| dir.is_absolute() && dir.is_dir()) {
        Some(dir) => dir.join("flying-passenger"),
        None => PathBuf::from(format!("/tmp/flying-passenger-{euid}")),
    }
}

/// Returns the loaders' directory: the given one, or that of this program's installation or source tree.
pub fn loaders(given: Option<&Path>) -> Result<PathBuf, ConfigError> {
    const OPTION: &str = "--loaders-dir";
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    let program = std::env::current_exe().map_err(|why| ConfigError::new(OPTION, why))?;
    let candidates = loader_candidates(&program);
    let found = candidates.iter().find(|dir| dir.is_dir()).cloned();
    found.ok_or_else(|| {
        let tried: Vec<_> = candidates.iter().map(|dir| dir.display().to_string()).collect();
        ConfigError::new(
            OPTION,
            format!("is required, because none of these directories exists: {}", tried.join(", ")),
        )
    })
}

/// Returns the candidates: `<prefix>/share/…` for `<prefix>/sbin/flying-passenger`, and `<source>/daemon/loaders` for
/// `<source>/target/release/flying-passenger`.
fn loader_candidates(program: &Path) -> Vec<PathBuf> {
    let installed = program.ancestors().nth(2).map(|prefix| prefix.join("share/flying-passenger/loaders"));
    let source = program.ancestors().nth(3).map(|source| source.join("daemon/loaders"));
    installed.into_iter().chain(source).collect()
}

/// Returns the directory of native support for the loaders: the given one, or that of this program. It may not exist.
///
/// # Errors
///
/// That the path of this program is not known.
pub fn native_support(given: Option<&Path>) -> Result<PathBuf, ConfigError> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    let program = std::env::current_exe().map_err(|why| ConfigError::new("--native-support-dir", why))?;
    let is_source = |dir: &Path| dir.join("daemon/loaders").is_dir();
    Ok(match program.ancestors().nth(3).filter(|source| is_source(source)) {
        Some(source) => source.join("target/release/native"),
        None => installed_native_support(&program),
    })
}

/// Returns `<prefix>/lib/…` for `<prefix>/sbin/flying-passenger`.
fn installed_native_support(program: &Path) -> PathBuf {
    program.ancestors().nth(2).unwrap_or(Path::new("/usr")).join("lib/flying-passenger/native")
}

/// Returns the absolute path of a file to be created, whose directory must exist.
pub(super) fn file(option: &'static str, path: &Path) -> Result<PathBuf, ConfigError> {
    let absolute = std::path::absolute(path).map_err(|why| ConfigError::new(option, why))?;
    match absolute.parent() {
        Some(dir) if dir.is_dir() => Ok(absolute),
        _ => Err(ConfigError::new(option, format!("the directory of {} does not exist", absolute.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_are_found_from_where_the_program_is() {
        let of = |program: &str| loader_candidates(Path::new(program));
        assert_eq!(of("/usr/sbin/flying-passenger")[0], Path::new("/usr/share/flying-passenger/loaders"));
        assert_eq!(of("/src/fp/target/release/flying-passenger")[1], Path::new("/src/fp/daemon/loaders"));
    }

    #[test]
    fn native_support_belongs_to_the_prefix_of_the_program() {
        let of = |program: &str| installed_native_support(Path::new(program));
        assert_eq!(of("/usr/sbin/flying-passenger"), Path::new("/usr/lib/flying-passenger/native"));
        assert_eq!(of("/opt/fp/bin/passenger-config"), Path::new("/opt/fp/lib/flying-passenger/native"));
    }

    #[test]
    fn root_registers_where_only_root_can_write() {
        assert_eq!(usual_registry(Uid::from_raw(0)), Path::new("/run/flying-passenger"));
    }
}
