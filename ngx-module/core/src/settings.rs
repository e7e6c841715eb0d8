//! One level's per-app settings: parsed values, inherited between levels and encoded as one block.

use protocol::PayloadError;
use protocol::settings::{Digest, Settings, Value};

use crate::value::Refusal;

/// The per-app settings configured on one level of nginx.conf, and after [`Written::inherit`] the effective ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    values: Settings,
}

/// Settings as sent with each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

impl Written {
    /// Adds a configured value. Maps and lists are extended; any other setting may be configured once.
    ///
    /// # Errors
    ///
    /// [`Refusal::Duplicate`].
    pub fn state(&mut self, name: &str, value: Value) -> Result<(), Refusal> {
        let value = match (self.values.get(name), value) {
            (None, value) => value,
            (Some(Value::List(have)), Value::List(more)) => Value::List([have.clone(), more].concat()),
            (Some(Value::Map(have)), Value::Map(more)) => Value::Map(later_wins(have, more)),
            (Some(_), _) => return Err(Refusal::Duplicate),
        };
        self.values.set(name, value);
        Ok(())
    }

    /// Inherits the settings of the outer level that this one does not have. Maps are joined, with precedence of the
    /// inner level; lists are joined, the inner level first.
    pub fn inherit(&mut self, outer: &Self) {
        for (name, theirs) in outer.values.iter() {
            let value = match (self.values.get(name), theirs) {
                (None, _) => theirs.clone(),
                (Some(Value::Map(inner)), Value::Map(outer)) => Value::Map(joined(inner, outer)),
                (Some(Value::List(inner)), Value::List(outer)) => {
                    Value::List([inner.clone(), outer.clone()].concat())
                }
                (Some(_), _) => continue,
            };
            self.values.set(name, value);
        }
    }

    /// Returns the values.
    pub fn values(&self) -> &Settings {
        &self.values
    }

    /// Returns a text setting's value.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether a flag is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.values.get(name) == Some(&Value::Flag(true))
    }

    /// Returns the block for the daemon, which applies the defaults of missing settings.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] when the settings do not fit a request.
    pub fn encode(&self) -> Result<Block, PayloadError> {
        let bytes = self.values.encode()?;
        let digest = Digest::of(&bytes);
        Ok(Block { bytes, digest })
    }
}

/// Joins two maps. A repeated name keeps its position and takes the later value.
fn later_wins(have: &[(String, String)], more: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut all = have.to_vec();
    for (name, value) in more {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some(pair) => pair.1 = value,
            None => all.push((name, value)),
        }
    }
    all
}

fn joined(inner: &[(String, String)], outer: &[(String, String)]) -> Vec<(String, String)> {
    let only_outer = outer.iter().filter(|(name, _)| inner.iter().all(|(known, _)| known != name));
    inner.iter().chain(only_outer).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Value {
        Value::Map(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    fn written(values: &[(&str, Value)]) -> Written {
        let mut written = Written::default();
        for (name, value) in values {
            written.state(name, value.clone()).unwrap();
        }
        written
    }

    #[test]
    fn rejects_a_setting_stated_twice_on_a_level() {
        let mut level = written(&[("ruby", Value::Text("ruby".into()))]);
        assert_eq!(level.state("ruby", Value::Text("jruby".into())), Err(Refusal::Duplicate));
    }

    #[test]
    fn the_inner_level_wins() {
        let mut inner = written(&[("min_instances", Value::Number(2))]);
        inner.inherit(&written(&[
            ("min_instances", Value::Number(1)),
            ("ruby", Value::Text("ruby3.1".into())),
        ]));
        let expected =
            written(&[("min_instances", Value::Number(2)), ("ruby", Value::Text("ruby3.1".into()))]);
        assert_eq!(inner, expected);
    }

    #[test]
    fn environment_variables_are_joined() {
        let mut inner = written(&[("env_var", map(&[("A", "inner"), ("B", "1")]))]);
        inner.inherit(&written(&[("env_var", map(&[("A", "outer"), ("C", "2")]))]));
        let expected = written(&[("env_var", map(&[("A", "inner"), ("B", "1"), ("C", "2")]))]);
        assert_eq!(inner, expected);
    }

    #[test]
    fn a_variable_stated_twice_on_a_level_takes_the_later_value() {
        let level = written(&[("env_var", map(&[("A", "1")])), ("env_var", map(&[("A", "2")]))]);
        assert_eq!(level, written(&[("env_var", map(&[("A", "2")]))]));
    }

    #[test]
    fn lists_put_the_inner_level_first() {
        let list = |words: &[&str]| Value::List(words.iter().map(|word| (*word).to_owned()).collect());
        let mut inner = written(&[("log", list(&["a"])), ("log", list(&["b"]))]);
        inner.inherit(&written(&[("log", list(&["c"]))]));
        assert_eq!(inner, written(&[("log", list(&["a", "b", "c"]))]));
    }

    #[test]
    fn equal_settings_have_equal_digests() {
        let one = written(&[("a", Value::Flag(true)), ("b", Value::Number(1))]).encode().unwrap();
        let two = written(&[("b", Value::Number(1)), ("a", Value::Flag(true))]).encode().unwrap();
        assert_eq!(one, two);
    }

    #[test]
    fn rejects_settings_of_excess_size() {
        let huge = written(&[("env_var", map(&[("A", &"x".repeat(300_000))]))]);
        assert!(huge.encode().is_err());
    }
}
