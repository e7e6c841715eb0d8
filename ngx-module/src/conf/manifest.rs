//! `passenger_dump_config_manifest`: collects the levels while they are merged and then writes the file.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

use module_core::instance;
use module_core::manifest::{Level, to_json};

/// The collected levels, shared by all levels, which inherit it from `http`.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    path: String,
    levels: Rc<RefCell<Vec<Level>>>,
}

impl Manifest {
    /// Returns an empty manifest for this file.
    pub(crate) fn new(path: String) -> Self {
        Self { path, levels: Rc::default() }
    }

    /// Adds a level.
    pub(crate) fn add(&self, level: Level) {
        self.levels.borrow_mut().push(level);
    }

    /// Writes the file, readable by its owner only: an application's variables may be secrets.
    ///
    /// # Errors
    ///
    /// A message for the operator.
    pub(crate) fn write(&self) -> Result<(), String> {
        let text = to_json(&self.levels.borrow());
        replace(&self.path, &text).map_err(|err| format!("\"{}\" cannot be written: {err}", self.path))
    }
}

/// Replaces the file with a new one. nginx's master is root, so it neither follows a link nor writes to an existing
/// file: another user may have created it, with another mode.
fn replace(path: &str, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "it exists and is not a regular file"));
        }
        _ => {}
    }
    let fresh = format!("{path}.{}", instance::draw());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
    let replaced =
        file.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| fs::rename(&fresh, path));
    if replaced.is_err() {
        // It may not exist.
        let _absent = fs::remove_file(&fresh);
    }
    replaced
}
