//! Errors of the configuration, one per option.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// An error of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The line in the file, if the value comes from there.
    line: Option<String>,
    /// The flag, or the key in the file.
    option: Cow<'static, str>,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// The value is not valid: what it must be.
    Value(String, String),
    /// Another problem.
    Other(String),
}

impl ConfigError {
    /// Creates an error with a message that follows the option's name.
    pub fn new(option: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self { line: None, option: option.into(), problem: Problem::Other(message.to_string()) }
    }

    /// Creates an error of a value, with what it must be: `must be a number >= 1`.
    pub fn value(option: impl Into<Cow<'static, str>>, value: &str, must: impl fmt::Display) -> Self {
        let problem = Problem::Value(value.to_owned(), must.to_string());
        Self { line: None, option: option.into(), problem }
    }

    /// Returns the error with the line in the file that it is about.
    pub(super) fn at(self, line: impl Into<String>) -> Self {
        Self { line: Some(line.into()), ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = &self.line {
            write!(f, "{line}: ")?;
        }
        match &self.problem {
            Problem::Value(value, must) => {
                write!(f, "invalid value \"{value}\" in \"{}\": {must}", self.option)
            }
            Problem::Other(message) if self.option.is_empty() => f.write_str(message),
            Problem::Other(message) => write!(f, "{}: {message}", self.option),
        }
    }
}

/// Collects errors, so that all of them can be reported at once.
#[derive(Debug, Default)]
pub(super) struct ConfigErrors {
    all: Vec<ConfigError>,
    /// The key and the line in the file of flags, without `--`, whose values come from there.
    places: BTreeMap<&'static str, (&'static str, String)>,
}

impl ConfigErrors {
    /// Adds an error; if the flag's value came from the file, the error names key and line.
    pub(super) fn push(&mut self, mut error: ConfigError) {
        if let Some((key, line)) = self.places.get(error.option.trim_start_matches('-')) {
            error = ConfigError { line: Some(line.clone()), option: (*key).into(), ..error };
        }
        self.all.push(error);
    }

    /// Records that this flag's value comes from this line of the file.
    pub(super) fn comes_from(&mut self, flag: &'static str, key: &'static str, line: &str) {
        self.places.insert(flag, (key, line.to_owned()));
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
