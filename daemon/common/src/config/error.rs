//! Errors of the configuration, one per option.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// An error of one option: its name, or its line in the file, and the rest of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    option: Cow<'static, str>,
    sentence: String,
}

impl ConfigError {
    /// Creates an error whose `sentence` follows the option's name.
    pub fn new(option: &'static str, sentence: impl fmt::Display) -> Self {
        Self { option: option.into(), sentence: sentence.to_string() }
    }

    /// Creates an error whose `sentence` follows the line in the file.
    pub(super) fn at(place: impl Into<String>, sentence: impl fmt::Display) -> Self {
        Self { option: place.into().into(), sentence: sentence.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.sentence)
    }
}

/// Collects errors, so that all of them can be reported at once.
#[derive(Debug, Default)]
pub(super) struct ConfigErrors {
    all: Vec<ConfigError>,
    /// The lines in the file of flags whose values come from there.
    places: BTreeMap<&'static str, String>,
}

impl ConfigErrors {
    /// Adds an error; if the flag's value came from the file, the error names the line.
    pub(super) fn push(&mut self, mut error: ConfigError) {
        if let Some(place) = self.places.get(&*error.option) {
            error.option = place.clone().into();
        }
        self.all.push(error);
    }

    /// Records the line in the file of this flag's value.
    pub(super) fn place(&mut self, flag: &'static str, place: &str) {
        self.places.insert(flag, place.to_owned());
    }

    /// Returns the value, unless there are errors.
    pub(super) fn unless_any<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.all.is_empty() { Ok(value) } else { Err(self.all) }
    }

    /// Returns the value, or the default after adding the error.
    pub(super) fn keep<T: Default>(&mut self, checked: Result<T, ConfigError>) -> T {
        checked.unwrap_or_else(|error| {
            self.push(error);
            T::default()
        })
    }

    /// Returns the value, or `None` after adding the error.
    pub(super) fn note<T>(&mut self, checked: Result<T, ConfigError>) -> Option<T> {
        checked.map_err(|error| self.push(error)).ok()
    }
}
