//! What is wrong with the command line, an option at a time.

use std::fmt;

/// One option that cannot be used: its name, and the rest of the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    option: &'static str,
    sentence: String,
}

impl Mistake {
    /// `sentence` goes on after the option's name.
    pub fn new(option: &'static str, sentence: impl fmt::Display) -> Self {
        Self { option, sentence: sentence.to_string() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.sentence)
    }
}

/// Collects mistakes, so that all of them can be told at once.
#[derive(Debug, Default)]
pub(super) struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    /// The value, or any other after noting why it is none.
    pub(super) fn keep<T: Default>(&mut self, checked: Result<T, Mistake>) -> T {
        checked.unwrap_or_else(|mistake| {
            self.0.push(mistake);
            T::default()
        })
    }

    /// The value, or nothing after noting why there is none.
    pub(super) fn note<T>(&mut self, checked: Result<T, Mistake>) -> Option<T> {
        checked.map_err(|mistake| self.0.push(mistake)).ok()
    }
}
