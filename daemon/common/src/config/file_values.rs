//! The values of the configuration file, by flag: each as the text of a flag, with its line. They are not checked here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::{Gate, GateApp};

/// The values of the file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// By flag, without `--`.
    pub(super) values: BTreeMap<&'static str, FileValue>,
    /// `NAME=PROGRAM`, as `--hook` takes it.
    pub(super) hooks: Vec<FileValue>,
    /// The table `[gate]`.
    pub(super) gate: Gate,
    /// The entries of `[[apps]]`.
    pub(super) apps: Vec<GateApp>,
}

/// A value as the text of a flag, and its line, with the path of the file.
#[derive(Debug, Clone)]
pub(super) struct FileValue {
    pub(super) text: String,
    pub(super) line: String,
}

/// The source of a value in the daemon's own configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// A flag.
    Flag,
    /// The configuration file.
    File,
}

impl File {
    /// Returns the file's value for this flag.
    pub(super) fn value(&self, flag: &str) -> Option<&FileValue> {
        self.values.get(flag)
    }
}
