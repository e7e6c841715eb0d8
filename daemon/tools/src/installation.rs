//! Locations of the parts of this installation, relative to the running program: below a prefix, or in a source tree.

use std::path::{Path, PathBuf};

use common::config;

/// File name of the nginx module.
const MODULE: &str = "ngx_http_passenger_module.so";
/// Debian's list of the files in our package.
const DEBIAN_LIST: &str = "/var/lib/dpkg/info/flying-passenger.list";

/// An installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    /// The directory of the running program.
    programs: PathBuf,
}

impl Installation {
    /// Returns the installation that this program belongs to.
    pub(super) fn of_this_program() -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|err| format!("cannot find the path of this program: {err}"))?;
        Ok(Self { programs: parent(&program) })
    }

    /// Finds a program in the same directory, or in `sbin` or `bin` beside it.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let beside = ["sbin", "bin"].map(|dir| parent(&self.programs).join(dir));
        let mut places = [self.programs.clone()].into_iter().chain(beside);
        places.find_map(|dir| Some(dir.join(name)).filter(|program| program.is_file()))
    }

    /// Finds the daemon's program.
    pub(super) fn daemon(&self) -> Result<PathBuf, String> {
        self.program("flying-passenger").ok_or_else(|| {
            format!("cannot find flying-passenger in {} or beside it", self.programs.display())
        })
    }

    /// Returns the directory of the loaders, which run inside the processes of apps.
    pub(super) fn loaders(&self) -> Result<PathBuf, String> {
        config::loaders(None).map_err(|_| {
            format!(
                "cannot find the loaders in {}/share/flying-passenger/loaders",
                parent(&self.programs).display()
            )
        })
    }

    /// Returns the path of the nginx module: its installed path, or the one that `make build` writes in a source tree.
    pub(super) fn module(&self) -> PathBuf {
        let built = self.programs.join(format!("lib{MODULE}"));
        if built.exists() { built } else { parent(&self.programs).join("lib/nginx/modules").join(MODULE) }
    }

    /// Whether this was installed, by a package or `make install`.
    pub(super) fn is_installed(&self) -> bool {
        parent(&self.programs).join("share/flying-passenger/loaders").is_dir()
    }

    /// Whether this program belongs to a package of the distribution.
    pub(super) fn is_of_package(&self) -> bool {
        let list = std::fs::read_to_string(DEBIAN_LIST).unwrap_or_default();
        let program = self.programs.join("passenger-config");
        list.lines().any(|line| Path::new(line) == program)
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_path_buf()
}
