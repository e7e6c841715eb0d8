//! Virtualenvs beside an app.

use std::path::{Path, PathBuf};

/// Their usual names.
const NAMES: [&str; 3] = ["venv", ".venv", "env"];

/// Returns the virtualenv in the app's directory, if there is one.
pub(super) fn beside(root: &Path) -> Option<PathBuf> {
    let found = NAMES.iter().map(|name| root.join(name));
    found.into_iter().find(|dir| dir.join("pyvenv.cfg").is_file() && dir.join("bin/python").exists())
}
