//! The daemon-wide settings of an nginx configuration and when they were read: sent once on each connection, after the
//! hello.
//!
//! ```text
//! | configured at: u64, milliseconds since 1970 | settings block, to the end of the payload |
//! ```
//!
//! Without a settings block, the sender has no such settings, and those of others remain in effect.
//!
//! During a reload old and new workers are connected at the same time; the time shows whose settings are newer.

use crate::frame::{FrameHeader, FrameType, HEADER_LEN};
use crate::payload::PayloadError;
use crate::settings::Settings;

const WHAT: &str = "globals";

/// The daemon-wide directives of one nginx configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globals {
    /// When nginx read this configuration, in milliseconds since 1970.
    pub configured_ms: u64,
    /// The values by the directives' names without `passenger_`.
    pub settings: Settings,
}

impl Globals {
    /// Returns the whole frame, header included.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] when the values are longer than [`crate::limits::MAX_SETTINGS`].
    pub fn to_frame(&self) -> Result<Vec<u8>, PayloadError> {
        let block = self.settings.encode()?;
        let time = self.configured_ms.to_le_bytes();
        let header = FrameHeader::new(FrameType::Globals, 0, (time.len() + block.len()) as u32).encode();
        Ok([&header[..], &time, &block].concat())
    }

    /// Returns the frame of a front without settings for the daemon as a whole, as the gate: only the time, without a
    /// settings block.
    pub fn time_only_frame(configured_ms: u64) -> Vec<u8> {
        let time = configured_ms.to_le_bytes();
        [&FrameHeader::new(FrameType::Globals, 0, time.len() as u32).encode()[..], &time].concat()
    }

    /// Returns the time in a payload that contains nothing else.
    pub fn time_only(payload: &[u8]) -> Option<u64> {
        payload.try_into().ok().map(u64::from_le_bytes)
    }

    /// Returns the frame's payload; empty when the frame cannot be encoded.
    pub fn payload(&self) -> Vec<u8> {
        self.to_frame().map(|frame| frame[HEADER_LEN..].to_vec()).unwrap_or_default()
    }

    /// Decodes the payload of a `Globals` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is cut short or its settings are not valid.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let (time, block) = payload
            .split_first_chunk()
            .ok_or_else(|| PayloadError::Malformed(WHAT, "it ends inside its time".into()))?;
        Ok(Self { configured_ms: u64::from_le_bytes(*time), settings: Settings::decode(block)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Value;

    fn sample() -> Globals {
        let mut settings = Settings::new();
        settings.set("max_pool_size", Value::Number(12));
        Globals { configured_ms: 1_795_000_000_123, settings }
    }

    #[test]
    fn globals_come_back_as_they_were() {
        let frame = sample().to_frame().unwrap();
        let header = FrameHeader::decode(&frame).unwrap().unwrap();
        assert_eq!((header.kind, header.len as usize), (FrameType::Globals, frame.len() - HEADER_LEN));
        assert_eq!(Globals::decode(&frame[HEADER_LEN..]), Ok(sample()));
    }

    #[test]
    fn rejects_globals_cut_anywhere() {
        let frame = sample().to_frame().unwrap();
        for end in HEADER_LEN..frame.len() {
            assert!(Globals::decode(&frame[HEADER_LEN..end]).is_err(), "cut at {end}");
        }
    }
}
