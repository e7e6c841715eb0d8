//! Files that exist and are not used, with the reasons, for the operator.

use std::io;

use crate::directory::is_not_found;

/// More are not reported.
const MAX: usize = 12;

/// A list of files that are not used.
#[derive(Debug, Default)]
pub(crate) struct Rejected(Vec<String>);

impl Rejected {
    /// Adds a file with the reason: `app.py defines neither ...`.
    pub(crate) fn add(&mut self, what: &str) {
        if self.0.len() < MAX {
            self.0.push(what.to_owned());
        }
    }

    /// Adds a file that cannot be read; not one that does not exist.
    pub(crate) fn unreadable(&mut self, file: &str, err: &io::Error) {
        if !is_not_found(err) {
            self.add(&format!("{file} cannot be read ({err})"));
        }
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        self.0
    }
}
