//! Per-application settings: one canonical byte string and its digest, made at nginx's configuration time and
//! sent in front of each request, so that nginx.conf is the only place where an app is configured.
//!
//! The block is a sorted list of named values rather than a struct: a daemon that is older than the module meets a
//! name it does not know, says so in its log, and works with the rest.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::limits::MAX_SETTINGS;
use crate::payload::{self, PayloadError};

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// `on` or `off`.
    Flag(bool),
    /// A number; its unit belongs to the setting.
    Number(i64),
    /// Text, a path or a command.
    Text(String),
    /// Several texts in the order of the configuration.
    List(Vec<String>),
    /// Names with values, in the order of the configuration.
    Map(Vec<(String, String)>),
}

/// Identifies a settings block: XXH3-128 of its bytes.
///
/// It tells equal blocks from different ones; it does not protect against forgery. Whoever may connect to the
/// daemon's socket may name any command to be run, so the socket's permissions are what protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of an encoded block.
    pub fn of(block: &[u8]) -> Self {
        Self(xxh3_128(block).to_le_bytes())
    }
}

/// An application's settings by name. Names are those of the directives without `passenger_`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    entries: Vec<(String, Value)>,
}

impl Settings {
    /// No settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one value, replacing an earlier one of the same name.
    pub fn set(&mut self, name: &str, value: Value) {
        match self.position(name) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => self.entries.insert(at, (name.to_owned(), value)),
        }
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|at| &self.entries[at].1)
    }

    /// All settings, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The canonical bytes: equal settings give equal bytes.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] above [`MAX_SETTINGS`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>, PayloadError> {
        let mut out = Vec::new();
        payload::encode("settings", &self.entries, &mut out)?;
        if out.len() > MAX_SETTINGS as usize {
            return Err(PayloadError::TooLong("settings"));
        }
        Ok(out)
    }

    /// Reads a settings block.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the bytes are no settings, are longer than allowed, or are not in canonical order.
    pub fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        if bytes.len() > MAX_SETTINGS as usize {
            return Err(PayloadError::TooLong("settings"));
        }
        let entries: Vec<(String, Value)> = payload::decode_all("settings", bytes)?;
        if entries.windows(2).any(|two| two[0].0 >= two[1].0) {
            return Err(PayloadError::Malformed("settings", "the names are not sorted".into()));
        }
        let settings = Self { entries };
        // A number can be written in more bytes than it needs; equal settings would then have different digests.
        if settings.encode()? != bytes {
            return Err(PayloadError::Malformed("settings", "the encoding is not canonical".into()));
        }
        Ok(settings)
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(n, _)| n.as_str().cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_setting_does_not_show() {
        let mut a = Settings::new();
        a.set("ruby", Value::Text("ruby3.1".into()));
        a.set("min_instances", Value::Number(2));
        let mut b = Settings::new();
        b.set("min_instances", Value::Number(1));
        b.set("min_instances", Value::Number(2));
        b.set("ruby", Value::Text("ruby3.1".into()));
        assert_eq!(a.encode(), b.encode());
        assert_eq!(a.get("min_instances"), Some(&Value::Number(2)));
        assert_eq!(a.get("python"), None);
    }

    #[test]
    fn rejects_names_out_of_order() {
        let mut out = Vec::new();
        let unsorted = vec![("b".to_owned(), Value::Flag(true)), ("a".to_owned(), Value::Flag(true))];
        payload::encode("settings", &unsorted, &mut out).unwrap();
        assert!(matches!(Settings::decode(&out), Err(PayloadError::Malformed("settings", _))));
    }

    #[test]
    fn rejects_numbers_in_more_bytes_than_needed() {
        assert!(Settings::decode(&[0]).is_ok());
        assert!(matches!(Settings::decode(&[251, 0, 0]), Err(PayloadError::Malformed("settings", _))));
    }

    #[test]
    fn rejects_trailing_bytes() {
        let mut bytes = Settings::new().encode().unwrap();
        bytes.push(0);
        assert_eq!(Settings::decode(&bytes), Err(PayloadError::TrailingData("settings")));
    }

    #[test]
    fn rejects_excess_size() {
        let mut big = Settings::new();
        big.set("env_var", Value::Text("x".repeat(MAX_SETTINGS as usize)));
        assert_eq!(big.encode(), Err(PayloadError::TooLong("settings")));
        assert_eq!(
            Settings::decode(&vec![0; MAX_SETTINGS as usize + 1]),
            Err(PayloadError::TooLong("settings"))
        );
    }

    #[test]
    fn different_blocks_have_different_digests() {
        assert_ne!(Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(Digest::of(b"a"), Digest::of(b"a"));
    }
}
