//! What is wrong with the command line, an option at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// One option that cannot be used: its name, or its place in the file, and the rest of the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    option: Cow<'static, str>,
    sentence: String,
}

impl ConfigError {
    /// `sentence` goes on after the option's name.
    pub fn new(option: &'static str, sentence: impl fmt::Display) -> Self {
        Self { option: option.into(), sentence: sentence.to_string() }
    }

    /// `sentence` goes on after the place in the file.
    pub(super) fn at(place: impl Into<String>, sentence: impl fmt::Display) -> Self {
        Self { option: place.into().into(), sentence: sentence.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.sentence)
    }
}

/// Collects mistakes, so that all of them can be told at once.
#[derive(Debug, Default)]
pub(super) struct ConfigErrors {
    all: Vec<ConfigError>,
    /// Where in the file the value of a flag stands.
    places: BTreeMap<&'static str, String>,
}

impl ConfigErrors {
    /// Keeps a mistake; that of a flag whose value came from the file is one of the file.
    pub(super) fn push(&mut self, mut error: ConfigError) {
        if let Some(place) = self.places.get(&*error.option) {
            error.option = place.clone().into();
        }
        self.all.push(error);
    }

    /// Notes where in the file the value of this flag stands.
    pub(super) fn place(&mut self, flag: &'static str, place: &str) {
        self.places.insert(flag, place.to_owned());
    }

    /// The value, unless something is wrong.
    pub(super) fn unless_any<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.all.is_empty() { Ok(value) } else { Err(self.all) }
    }

    /// The value, or any other after noting why it is none.
    pub(super) fn keep<T: Default>(&mut self, checked: Result<T, ConfigError>) -> T {
        checked.unwrap_or_else(|error| {
            self.push(error);
            T::default()
        })
    }

    /// The value, or nothing after noting why there is none.
    pub(super) fn note<T>(&mut self, checked: Result<T, ConfigError>) -> Option<T> {
        checked.map_err(|error| self.push(error)).ok()
    }
}
