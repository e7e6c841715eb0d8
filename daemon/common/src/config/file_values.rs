//! What the configuration file says, by flag: each value as the flag's text, with the line where it stands. Whether it makes
//! sense is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// By flag.
    pub(super) values: BTreeMap<&'static str, FileValue>,
    /// `NAME=PROGRAM`, as `--hook` takes it.
    pub(super) hooks: Vec<FileValue>,
}

/// A value as the flag's text, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct FileValue {
    pub(super) text: String,
    pub(super) place: String,
}

/// What of the daemon's own configuration decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// A flag.
    Flag,
    /// The configuration file.
    File,
}

impl File {
    /// What the file says in this flag's place.
    pub(super) fn value(&self, flag: &str) -> Option<&FileValue> {
        self.values.get(flag)
    }
}
