//! A cursor over received bytes: every read is checked, nothing is copied.

use std::fmt;

/// Why a fixed-layout message was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The message ended inside the named field.
    MissingData(&'static str),
    /// Bytes were left after the last field of the named message.
    TrailingData(&'static str),
    /// The named field has a value without a meaning.
    InvalidValue(&'static str),
    /// The named field must be UTF-8 and is not.
    NotUtf8(&'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingData(what) => write!(f, "the message ends inside its {what}"),
            Self::TrailingData(what) => write!(f, "bytes follow the end of the {what}"),
            Self::InvalidValue(what) => write!(f, "the {what} is invalid"),
            Self::NotUtf8(what) => write!(f, "the {what} is not UTF-8"),
        }
    }
}

impl std::error::Error for ReadError {}

/// The bytes not yet read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes that are left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], ReadError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(ReadError::MissingData(what))?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, ReadError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, ReadError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Reads a string after its one-byte length.
    pub(crate) fn str8(&mut self, what: &'static str) -> Result<&'a str, ReadError> {
        let len = self.u8(what)?;
        self.str(usize::from(len), what)
    }

    /// Reads a string after its two-byte length.
    pub(crate) fn str16(&mut self, what: &'static str) -> Result<&'a str, ReadError> {
        let len = self.u16(what)?;
        self.str(usize::from(len), what)
    }

    fn str(&mut self, len: usize, what: &'static str) -> Result<&'a str, ReadError> {
        std::str::from_utf8(self.take(len, what)?).map_err(|_| ReadError::NotUtf8(what))
    }

    /// Reads exactly this many bytes.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        let bytes = self.take(N, what)?;
        bytes.try_into().map_err(|_| ReadError::MissingData(what))
    }
}
