//! The interpreter that an application's directory asks for: a virtual environment, or a version that a file names and
//! that a version manager of its user, or the system, has installed.
//!
//! The application's process searches, with the rights of its user. Nothing is executed.

mod installed;
mod version;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use protocol::request::AppKind;

use crate::directory::Directory;
use installed::Managers;

/// A language whose interpreter can be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Ruby.
    Ruby,
    /// Python.
    Python,
    /// Node.js.
    Node,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interpreter {
    /// This program is to be used, for this reason.
    Found {
        /// Its path.
        program: PathBuf,
        /// The reason.
        why: String,
    },
    /// The directory asks for something that is not there; for the operator.
    Missing(String),
    /// The directory asks for nothing.
    Unspecified,
}

/// Directories of a virtual environment, in this order.
pub const VIRTUAL_ENVIRONMENTS: [&str; 3] = ["venv", ".venv", "env"];

/// What exists in a virtual environment, at least one of them.
const MARKS: [&str; 2] = ["pyvenv.cfg", "bin/activate"];

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::Ruby, Self::Python, Self::Node];

    /// Returns the language of the kinds with a loader.
    pub fn of(kind: AppKind) -> Option<Self> {
        match kind {
            AppKind::Ruby => Some(Self::Ruby),
            AppKind::Python => Some(Self::Python),
            AppKind::Node => Some(Self::Node),
            AppKind::Meteor | AppKind::Generic => None,
        }
    }

    /// Searches for the interpreter of an application. `home` is the home directory of its user.
    pub fn interpreter(self, root: &Path, home: Option<&Path>) -> Interpreter {
        self.search(root, home, Path::new("/"))
    }

    /// As [`Language::interpreter`], with another root directory of the system.
    fn search(self, root: &Path, home: Option<&Path>, system: &Path) -> Interpreter {
        let venv = if self == Self::Python { virtual_environment(root) } else { Interpreter::Unspecified };
        if venv != Interpreter::Unspecified {
            return venv;
        }
        match version::wanted(self, Directory(root)) {
            Some(wanted) => Managers { home, system }.find(self, &wanted),
            None => Interpreter::Unspecified,
        }
    }
}

fn virtual_environment(root: &Path) -> Interpreter {
    let directory = Directory(root);
    let is_one = |name: &&str| MARKS.iter().any(|mark| directory.has_file(&format!("{name}/{mark}")));
    let Some(name) = VIRTUAL_ENVIRONMENTS.into_iter().find(is_one) else {
        return Interpreter::Unspecified;
    };
    let programs = ["bin/python", "bin/python3"].map(|program| root.join(name).join(program));
    match programs.into_iter().find(|program| is_executable(program)) {
        Some(program) => Interpreter::Found {
            program,
            why: "virtual environment in the application's directory".to_owned(),
        },
        None => Interpreter::Missing(format!(
            "the virtual environment {name} is not used, as its bin/python does not exist or cannot be executed; create \
             it again (python3 -m venv {name})"
        )),
    }
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
