//! The frame header: the twelve bytes before every message, with the same layout in every version.
//!
//! ```text
//!  0        4      5       6          8          12
//!  | length | type | flags | reserved | stream id | payload …
//! ```
//!
//! All numbers are little endian. `length` is the length of the payload only.

use std::fmt;

use crate::limits;

/// Bytes of a frame header.
pub const HEADER_LEN: usize = 12;

/// Flag on `Request`, `RequestBody`, `Response` and `ResponseBody`: no body frame of this direction follows. On
/// `Roster`: it is complete.
pub const FLAG_END: u8 = 0x01;

const KNOWN_FLAGS: u8 = FLAG_END;

/// The type of a frame. Values below 0x80 come from nginx, the others from the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameType {
    /// Opens a connection: [`crate::hello::Hello`].
    Hello = 0x01,
    /// A request head: [`crate::request::RequestHead`].
    Request = 0x02,
    /// A part of the request body.
    RequestBody = 0x03,
    /// The client closed its connection: the request of this stream is cancelled. No payload.
    Cancel = 0x04,
    /// The daemon-wide settings of this nginx's configuration: [`crate::globals::Globals`].
    Globals = 0x05,
    /// The applications in this nginx's configuration: [`crate::roster::Roster`].
    Roster = 0x06,
    /// A request for the daemon's status page: [`crate::status::StatusQuestion`]. It is answered like any request.
    Status = 0x07,
    /// Accepts a hello: [`crate::hello::Welcome`].
    Welcome = 0x81,
    /// Refuses a hello: [`crate::hello::Refusal`]. The connection is closed.
    Refused = 0x82,
    /// An interim response (103): [`crate::response::ResponseHead`].
    Interim = 0x83,
    /// The response head: [`crate::response::ResponseHead`]. After status 101 the connection is a raw tunnel.
    Response = 0x84,
    /// A part of the response body.
    ResponseBody = 0x85,
    /// The response cannot be completed: [`crate::response::Abort`].
    Abort = 0x86,
    /// Sent between two requests: the daemon accepts no more of them on this connection and waits for nginx to close
    /// it. No payload. Only for a module that [supports it](crate::hello::Hello::hears_goodbye).
    Goodbye = 0x87,
}

impl FrameType {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Hello,
            0x02 => Self::Request,
            0x03 => Self::RequestBody,
            0x04 => Self::Cancel,
            0x05 => Self::Globals,
            0x06 => Self::Roster,
            0x07 => Self::Status,
            0x81 => Self::Welcome,
            0x82 => Self::Refused,
            0x83 => Self::Interim,
            0x84 => Self::Response,
            0x85 => Self::ResponseBody,
            0x86 => Self::Abort,
            0x87 => Self::Goodbye,
            _ => return None,
        })
    }

    /// Returns the longest payload that a frame of this type may announce, in bytes.
    pub fn max_len(self) -> u32 {
        match self {
            Self::Hello | Self::Welcome | Self::Refused => limits::MAX_HANDSHAKE,
            Self::Request => limits::MAX_REQUEST_HEAD,
            Self::RequestBody | Self::ResponseBody => limits::MAX_BODY_CHUNK,
            Self::Cancel | Self::Goodbye => 0,
            Self::Globals => limits::MAX_GLOBALS,
            Self::Roster => limits::MAX_ROSTER,
            Self::Status => limits::MAX_STATUS,
            Self::Interim | Self::Response => limits::MAX_RESPONSE_HEAD,
            Self::Abort => limits::MAX_ABORT,
        }
    }
}

/// Why a frame header was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// The type byte is unknown to this version.
    UnknownType(u8),
    /// The payload is longer than this type allows.
    TooLong {
        /// Type of the frame.
        kind: FrameType,
        /// Announced length, in bytes.
        len: u32,
    },
    /// A flag is unknown to this version.
    UnknownFlags(u8),
    /// The reserved field is not zero.
    ReservedNotZero(u16),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(byte) => write!(f, "frame type {byte:#04x} is unknown"),
            Self::TooLong { kind, len } => {
                write!(f, "a {kind:?} frame announces {len} bytes, more than the {} allowed", kind.max_len())
            }
            Self::UnknownFlags(flags) => write!(f, "frame flags {flags:#04x} are unknown"),
            Self::ReservedNotZero(value) => {
                write!(f, "the reserved field of a frame header is {value:#06x}, not 0")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// A decoded frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Type of the payload.
    pub kind: FrameType,
    /// Combination of the `FLAG_` constants.
    pub flags: u8,
    /// The request that this frame belongs to. Version 1 carries one request at a time and uses 0.
    pub stream: u32,
    /// Length of the payload, in bytes.
    pub len: u32,
}

impl FrameHeader {
    /// Returns a header for stream 0.
    pub fn new(kind: FrameType, flags: u8, len: u32) -> Self {
        Self { kind, flags, stream: 0, len }
    }

    /// Whether no further body frame of this direction follows.
    pub fn is_end(&self) -> bool {
        self.flags & FLAG_END != 0
    }

    /// Returns the header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..4].copy_from_slice(&self.len.to_le_bytes());
        out[4] = self.kind as u8;
        out[5] = self.flags;
        out[8..12].copy_from_slice(&self.stream.to_le_bytes());
        out
    }

    /// Decodes the header at the start of `bytes`; `None` while they are fewer than [`HEADER_LEN`].
    ///
    /// # Errors
    ///
    /// A [`FrameError`] when the header is not valid in this protocol. The connection then cannot be used any more.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(&[l0, l1, l2, l3, kind, flags, r0, r1, s0, s1, s2, s3]) = bytes.first_chunk::<HEADER_LEN>()
        else {
            return Ok(None);
        };
        let kind = FrameType::from_byte(kind).ok_or(FrameError::UnknownType(kind))?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(FrameError::UnknownFlags(flags));
        }
        let reserved = u16::from_le_bytes([r0, r1]);
        if reserved != 0 {
            return Err(FrameError::ReservedNotZero(reserved));
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        if len > kind.max_len() {
            return Err(FrameError::TooLong { kind, len });
        }
        Ok(Some(Self { kind, flags, stream: u32::from_le_bytes([s0, s1, s2, s3]), len }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_byte_is_its_own_inverse() {
        let known: Vec<u8> = (0..=255u8).filter(|b| FrameType::from_byte(*b).is_some()).collect();
        assert_eq!(known.len(), 14);
        for byte in known {
            assert_eq!(FrameType::from_byte(byte).map(|t| t as u8), Some(byte));
        }
    }

    #[test]
    fn a_header_waits_for_all_its_bytes() {
        let bytes = FrameHeader::new(FrameType::Request, FLAG_END, 70).encode();
        for end in 0..HEADER_LEN {
            assert_eq!(FrameHeader::decode(&bytes[..end]), Ok(None));
        }
        assert_eq!(FrameHeader::decode(&bytes), Ok(Some(FrameHeader::new(FrameType::Request, FLAG_END, 70))));
    }

    #[test]
    fn rejects_unknown_type() {
        let mut bytes = FrameHeader::new(FrameType::Cancel, 0, 0).encode();
        bytes[4] = 0x7f;
        assert_eq!(FrameHeader::decode(&bytes), Err(FrameError::UnknownType(0x7f)));
    }

    #[test]
    fn rejects_unknown_flags() {
        let mut bytes = FrameHeader::new(FrameType::Cancel, 0, 0).encode();
        bytes[5] = 0x80;
        assert_eq!(FrameHeader::decode(&bytes), Err(FrameError::UnknownFlags(0x80)));
    }

    #[test]
    fn rejects_reserved_bytes() {
        let mut bytes = FrameHeader::new(FrameType::Cancel, 0, 0).encode();
        bytes[7] = 1;
        assert_eq!(FrameHeader::decode(&bytes), Err(FrameError::ReservedNotZero(0x100)));
    }

    #[test]
    fn rejects_excess_size_of_each_bounded_type() {
        for byte in 0..=255u8 {
            let Some(kind) = FrameType::from_byte(byte) else {
                continue;
            };
            let Some(len) = kind.max_len().checked_add(1) else {
                continue;
            };
            let bytes = FrameHeader::new(kind, 0, len).encode();
            assert_eq!(FrameHeader::decode(&bytes), Err(FrameError::TooLong { kind, len }));
        }
    }
}
