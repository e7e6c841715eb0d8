//! Per-application settings: one canonical byte string and its digest, encoded when nginx reads its configuration and
//! sent before each request, so that apps are configured in nginx.conf only.
//!
//! The block is a sorted list of named values rather than a struct: a daemon that is older than the module logs a name
//! that it does not know and uses the rest.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::limits::MAX_SETTINGS;
use crate::payload::{self, PayloadError};

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// `on` or `off`.
    Flag(bool),
    /// A number, in the unit of the setting.
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
/// It distinguishes blocks; it does not protect against forgery. Any process that may connect to the daemon's
/// socket may name any command to run, so the protection is the socket's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Returns the digest of an encoded block.
    pub fn of(block: &[u8]) -> Self {
        Self(xxh3_128(block).to_le_bytes())
    }
}

/// An application's settings by the directives' names without `passenger_`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    entries: Vec<(String, Value)>,
}

impl Settings {
    /// Returns empty settings.
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

    /// Returns the value of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.position(name).ok().map(|at| &self.entries[at].1)
    }

    /// Returns all settings, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the canonical bytes: equal settings have equal bytes.
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

    /// Decodes a settings block.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the bytes are not settings, are longer than allowed, or are not in canonical order.
    pub fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
        if bytes.len() > MAX_SETTINGS as usize {
            return Err(PayloadError::TooLong("settings"));
        }
        let entries: Vec<(String, Value)> = payload::decode_all("settings", bytes)?;
        if entries.windows(2).any(|two| two[0].0 >= two[1].0) {
            return Err(PayloadError::Malformed("settings", "the names are not sorted".into()));
        }
        let settings = Self { entries };
        // A number can be encoded in more bytes than it needs; equal settings would then have different digests.
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
