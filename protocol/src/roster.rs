//! The roster: the applications in an nginx's configuration. Its first worker sends it on a separate connection, after
//! the globals.
//!
//! A roster is one or more frames, the last with [`crate::frame::FLAG_END`]. Applications that a later roster of the
//! same nginx does not name are no longer configured; those that must run before their first request can be started.

use serde::{Deserialize, Serialize};

use crate::frame::{FLAG_END, FrameHeader, FrameType, HEADER_LEN};
use crate::limits;
use crate::payload::{self, PayloadError};
use crate::request::AppRef;

const WHAT: &str = "roster";

/// Size in bytes at which a frame is closed and the next one begins.
const FULL: usize = 128 * 1024;

/// One frame of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster<'a> {
    /// Identifies the nginx: the path of its configuration file, which is the same after a restart.
    #[serde(borrow, with = "serde_bytes")]
    pub instance: &'a [u8],
    /// The process ID of nginx's master, which is the same after a reload.
    pub master: u32,
    /// Whether every application is named. False when some are known only when requested, as where `root` contains
    /// variables.
    pub is_complete: bool,
    /// Part of the applications.
    #[serde(borrow)]
    pub entries: Vec<Entry<'a>>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The name of its process group.
    #[serde(borrow, with = "serde_bytes")]
    pub group: &'a [u8],
    /// How it is started, when it must run before its first request.
    #[serde(borrow)]
    pub start: Option<Start<'a>>,
}

/// The fields of a request to the application that a start needs: see [`crate::request::RequestHead`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start<'a> {
    /// The application.
    #[serde(borrow)]
    pub app: AppRef<'a>,
    /// The base URI under which it is mounted; empty at the root.
    #[serde(borrow, with = "serde_bytes")]
    pub base_uri: &'a [u8],
    /// nginx's name and release.
    #[serde(borrow, with = "serde_bytes")]
    pub server_software: &'a [u8],
    /// Its settings block.
    #[serde(borrow, with = "serde_bytes")]
    pub settings: &'a [u8],
}

impl Entry<'_> {
    /// Returns the approximate number of bytes that it occupies in a frame.
    fn weight(&self) -> usize {
        let start = self.start.as_ref();
        64 + self.group.len()
            + start.map_or(0, |start| {
                start.settings.len()
                    + start.app.root.len()
                    + start.app.start_command.len()
                    + start.base_uri.len()
            })
    }
}

impl<'a> Roster<'a> {
    /// Returns all of its frames, headers included.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`] when one entry is longer than a frame may be.
    pub fn to_frames(mut self) -> Result<Vec<u8>, PayloadError> {
        let mut out = Vec::new();
        let mut rest = std::mem::take(&mut self.entries).into_iter().peekable();
        loop {
            let mut weight = 0;
            self.entries.clear();
            while let Some(entry) = rest.next_if(|entry| weight == 0 || weight + entry.weight() <= FULL) {
                weight += entry.weight();
                self.entries.push(entry);
            }
            let flags = if rest.peek().is_none() { FLAG_END } else { 0 };
            self.write_frame(flags, &mut out)?;
            if flags == FLAG_END {
                return Ok(out);
            }
        }
    }

    fn write_frame(&self, flags: u8, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        payload::encode(WHAT, self, out)?;
        let len = out.len() - start - HEADER_LEN;
        if len > limits::MAX_ROSTER as usize {
            return Err(PayloadError::TooLong(WHAT));
        }
        let header = FrameHeader::new(FrameType::Roster, flags, len as u32).encode();
        out[start..start + HEADER_LEN].copy_from_slice(&header);
        Ok(())
    }

    /// Decodes the payload of a `Roster` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is not a roster.
    pub fn decode(payload: &'a [u8]) -> Result<Self, PayloadError> {
        payload::decode_all(WHAT, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::AppKind;

    fn start(settings: &[u8]) -> Start<'_> {
        let app = AppRef { group: b"blog", root: b"/srv/blog", kind: AppKind::Ruby, start_command: b"" };
        Start { app, base_uri: b"/blog", server_software: b"nginx/1.22.1", settings }
    }

    fn roster<'a>(entries: Vec<Entry<'a>>) -> Roster<'a> {
        Roster { instance: b"/etc/nginx/nginx.conf", master: 4711, is_complete: true, entries }
    }

    /// Splits the bytes into headers and payloads.
    fn frames(mut bytes: &[u8]) -> Vec<(FrameHeader, &[u8])> {
        let mut frames = Vec::new();
        while let Some(header) = FrameHeader::decode(bytes).unwrap() {
            let end = HEADER_LEN + header.len as usize;
            frames.push((header, &bytes[HEADER_LEN..end]));
            bytes = &bytes[end..];
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn a_roster_comes_back_as_it_was() {
        let entries = vec![
            Entry { group: b"blog", start: Some(start(b"settings")) },
            Entry { group: b"shop", start: None },
        ];
        let bytes = roster(entries.clone()).to_frames().unwrap();
        let [(header, payload)] = frames(&bytes)[..] else { panic!("one frame is enough") };
        assert!(header.is_end() && header.kind == FrameType::Roster);
        assert_eq!(Roster::decode(payload), Ok(roster(entries)));
        for end in 0..payload.len() {
            assert!(Roster::decode(&payload[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn no_application_at_all_is_a_roster_too() {
        let bytes = roster(Vec::new()).to_frames().unwrap();
        let [(header, payload)] = frames(&bytes)[..] else { panic!("one frame is enough") };
        assert!(header.is_end());
        assert_eq!(Roster::decode(payload), Ok(roster(Vec::new())));
    }

    #[test]
    #[cfg_attr(miri, ignore = "copies megabytes, which takes a minute in the interpreter")]
    fn many_applications_take_many_frames_of_which_the_last_is_the_end() {
        let settings = vec![b'x'; 1000];
        let entries = vec![Entry { group: b"blog", start: Some(start(&settings)) }; 1000];
        let bytes = roster(entries.clone()).to_frames().unwrap();
        let frames = frames(&bytes);
        assert!(frames.len() > 5);
        let (last, others) = frames.split_last().unwrap();
        assert!(last.0.is_end() && others.iter().all(|(header, _)| !header.is_end()));
        let all: Vec<_> =
            frames.iter().flat_map(|(_, payload)| Roster::decode(payload).unwrap().entries).collect();
        assert_eq!(all, entries);
    }

    #[test]
    fn an_entry_that_no_frame_can_hold_is_refused() {
        let settings = vec![b'x'; limits::MAX_ROSTER as usize];
        let entries = vec![Entry { group: b"blog", start: Some(start(&settings)) }];
        assert_eq!(roster(entries).to_frames(), Err(PayloadError::TooLong(WHAT)));
    }
}
