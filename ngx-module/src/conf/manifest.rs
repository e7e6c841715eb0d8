//! `passenger_dump_config_manifest`: levels come in while they are merged, a file goes out when all is read.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

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
        let mut how = OpenOptions::new();
        let file = how.write(true).create(true).truncate(true).mode(0o600).open(&self.path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|err| format!("\"{}\" cannot be written: {err}", self.path))
    }
}
