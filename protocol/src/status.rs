//! A question for the daemon's status page: nginx asks it for a location with `passenger_status`. The answer comes in the
//! frames of any response.
//!
//! A daemon that does not know this frame answers with an abort: pages are no reason to speak another version.

use serde::{Deserialize, Serialize};

use crate::frame::{FrameHeader, FrameType, HEADER_LEN};
use crate::payload::{self, PayloadError};

const WHAT: &str = "question for the status page";

/// What somebody wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusQuestion {
    /// The page itself, or what it shows.
    pub part: StatusPart,
    /// The head of the answer is enough.
    pub to_head: bool,
}

/// One of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusPart {
    /// The HTML page, which is the same for everybody and at all times.
    Page,
    /// What it shows at this moment, as JSON.
    Data,
    /// Figures for Prometheus.
    Metrics,
}

impl StatusQuestion {
    /// Appends the whole frame to `out`.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`], which cannot be: its few bytes always fit.
    pub fn write_frame(&self, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        payload::encode(WHAT, self, out)?;
        let len = out.len() - start - HEADER_LEN;
        let header = FrameHeader::new(FrameType::Status, 0, len as u32).encode();
        out[start..start + HEADER_LEN].copy_from_slice(&header);
        Ok(())
    }

    /// Reads the payload of a `Status` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is none.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        payload::decode_all(WHAT, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(question: StatusQuestion) -> Vec<u8> {
        let mut out = Vec::new();
        question.write_frame(&mut out).unwrap();
        out
    }

    #[test]
    fn a_question_comes_back_as_it_was() {
        for part in [StatusPart::Page, StatusPart::Data, StatusPart::Metrics] {
            for to_head in [false, true] {
                let question = StatusQuestion { part, to_head };
                let frame = frame(question);
                let header = FrameHeader::decode(&frame).unwrap().unwrap();
                assert_eq!((header.kind, header.len as usize), (FrameType::Status, frame.len() - HEADER_LEN));
                assert_eq!(StatusQuestion::decode(&frame[HEADER_LEN..]), Ok(question));
            }
        }
    }

    #[test]
    fn rejects_a_question_that_is_cut_or_goes_on() {
        let mut frame = frame(StatusQuestion { part: StatusPart::Data, to_head: true });
        for end in HEADER_LEN..frame.len() {
            assert!(StatusQuestion::decode(&frame[HEADER_LEN..end]).is_err(), "cut at {end}");
        }
        frame.push(0);
        assert_eq!(StatusQuestion::decode(&frame[HEADER_LEN..]), Err(PayloadError::TrailingData(WHAT)));
    }

    #[test]
    fn rejects_a_part_that_does_not_exist() {
        assert!(matches!(StatusQuestion::decode(&[3, 0]), Err(PayloadError::Malformed(..))));
        assert!(matches!(StatusQuestion::decode(&[0, 2]), Err(PayloadError::Malformed(..))));
    }
}
