//! A request for the daemon's status page or health, which nginx sends for a location with `passenger_status` or
//! `passenger_health`. The response has the same frames as any other.
//!
//! A daemon that does not know this frame responds with an abort: status pages do not justify another protocol version.

use serde::{Deserialize, Serialize};

use crate::frame::{FrameHeader, FrameType, HEADER_LEN};
use crate::payload::{self, PayloadError};

const WHAT: &str = "question for the status page";

/// A request for a part of the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusQuestion {
    /// The part.
    pub part: StatusPart,
    /// Only the head of the response is wanted.
    pub to_head: bool,
}

/// The parts of the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusPart {
    /// The HTML page, which is static and the same for every client.
    Page,
    /// The current data of the page, as JSON.
    Data,
    /// Metrics for Prometheus.
    Metrics,
    /// Whether the daemon serves requests, for a location with `passenger_health`, as text.
    Health,
    /// The same as JSON.
    HealthJson,
}

impl StatusQuestion {
    /// Appends the whole frame to `out`.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooLong`], which cannot happen: its few bytes always fit.
    pub fn write_frame(&self, out: &mut Vec<u8>) -> Result<(), PayloadError> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        payload::encode(WHAT, self, out)?;
        let len = out.len() - start - HEADER_LEN;
        let header = FrameHeader::new(FrameType::Status, 0, len as u32).encode();
        out[start..start + HEADER_LEN].copy_from_slice(&header);
        Ok(())
    }

    /// Decodes the payload of a `Status` frame.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is not a status request.
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

    const PARTS: [StatusPart; 5] =
        [StatusPart::Page, StatusPart::Data, StatusPart::Metrics, StatusPart::Health, StatusPart::HealthJson];

    #[test]
    fn a_question_comes_back_as_it_was() {
        for part in PARTS {
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
        assert!(matches!(StatusQuestion::decode(&[5, 0]), Err(PayloadError::Malformed(..))));
        assert!(matches!(StatusQuestion::decode(&[0, 2]), Err(PayloadError::Malformed(..))));
    }
}
