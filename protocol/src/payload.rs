//! Encoding and decoding of serde structs with bincode, which no other file uses.
//!
//! bincode 2 is finished rather than maintained (RUSTSEC-2025-0141); its format is documented and frozen, which is
//! what a wire format needs. Replacing it means replacing this file and raising the protocol version.

use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Deserialize, Serialize};

use crate::limits;

const LIMIT: usize = limits::MAX_REQUEST_HEAD as usize;
const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> =
    bincode::config::standard().with_limit::<LIMIT>();

/// Why a message's payload was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadError {
    /// The bytes are not an encoding of the named message.
    Malformed(&'static str, String),
    /// Bytes were left after the named message.
    TrailingData(&'static str),
    /// The named message does not fit its limit or its buffer.
    TooLong(&'static str),
    /// The headers or fields after the named message are damaged.
    Pairs(&'static str, crate::pairs::PairsError),
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what, why) => write!(f, "the {what} cannot be decoded: {why}"),
            Self::TrailingData(what) => write!(f, "bytes follow the end of the {what}"),
            Self::TooLong(what) => write!(f, "the {what} is longer than allowed"),
            Self::Pairs(what, why) => write!(f, "the headers of the {what} cannot be decoded: {why}"),
        }
    }
}

impl std::error::Error for PayloadError {}

/// Appends `message` to `out`.
pub(crate) fn encode<T: Serialize>(
    what: &'static str,
    message: &T,
    out: &mut Vec<u8>,
) -> Result<(), PayloadError> {
    let writer = Appender(out);
    bincode::serde::encode_into_writer(message, writer, CONFIG).map_err(|_| PayloadError::TooLong(what))
}

/// Decodes a message from the start of `bytes`; also returns its length in bytes.
pub(crate) fn decode<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(T, usize), PayloadError> {
    bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|err| PayloadError::Malformed(what, err.to_string()))
}

/// Decodes a message that occupies all of `bytes`.
pub(crate) fn decode_all<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<T, PayloadError> {
    let (message, used) = decode(what, bytes)?;
    if used == bytes.len() { Ok(message) } else { Err(PayloadError::TrailingData(what)) }
}

struct Appender<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
