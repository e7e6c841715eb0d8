//! `passenger_dump_config_manifest`: levels come in while they are merged, a file goes out when all is read.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

use module_core::instance;
use module_core::manifest::{Level, to_json};

/// Shared by all levels, which inherit it from `http`.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    path: String,
    levels: Rc<RefCell<Vec<Level>>>,
}

impl Manifest {
    /// For a file that is not written yet.
    pub(crate) fn new(path: String) -> Self {
        Self { path, levels: Rc::default() }
    }

    /// Takes in a level.
    pub(crate) fn add(&self, level: Level) {
        self.levels.borrow_mut().push(level);
    }

    /// Writes the file, for its owner's eyes only: an application's variables may be secrets.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub(crate) fn write(&self) -> Result<(), String> {
        let text = to_json(&self.levels.borrow());
        replace(&self.path, &text).map_err(|err| format!("\"{}\" cannot be written: {err}", self.path))
    }
}

/// Puts a new file in the place of the one that is there. nginx's master is root, so nothing is followed or written to that
/// somebody else may have made: not a link, and not a file whose mode is another one.
fn replace(path: &str, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "something is there that is not a regular file",
            ));
        }
        _ => {}
    }
    let fresh = format!("{path}.{}", instance::draw());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh);
    let replaced =
        file.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| fs::rename(&fresh, path));
    if replaced.is_err() {
        // It may not have been made.
        let _absent = fs::remove_file(&fresh);
    }
    replaced
}
