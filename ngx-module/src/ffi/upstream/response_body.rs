//! The body of a response: the ranges of the daemon's frames that are body.

use std::ops::Range;

use module_core::response_body::{BodyDecoder, BodyError, Piece};
use protocol::request::BodyLength;

use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;

/// The result of a search for body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRead {
    /// All bytes are consumed.
    NeedMore,
    /// The body is complete. `clean`: nothing follows it, so the connection can be reused.
    Complete {
        /// Nothing follows.
        clean: bool,
    },
    /// It cannot be completed; the reason is in the log. The client gets the part received, and detects that it is
    /// incomplete.
    Broken,
    /// nginx is out of memory.
    Failed,
}

/// Decoder of the body, once the response's head is found.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    decoder: BodyDecoder,
    /// The connection cannot be reused, even if the body is complete.
    is_last: bool,
}

/// For a response of which nothing is known.
impl Default for ResponseBody {
    fn default() -> Self {
        Self::new(BodyDecoder::new(BodyLength::Unknown, false), false)
    }
}

impl ResponseBody {
    /// Returns a decoder of the body that the head describes.
    pub(crate) fn new(decoder: BodyDecoder, is_last: bool) -> Self {
        Self { decoder, is_last }
    }

    /// Calls `take` with each range of `bytes` that is body.
    pub(crate) fn read(
        &mut self,
        request: Request<'_>,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead {
        self.pieces(bytes, take).unwrap_or_else(|err| {
            request.log().error(format_args!("{err}"));
            BodyRead::Broken
        })
    }

    /// Returns how many more bytes are needed at least; 0 when the body is complete.
    pub(super) fn needs(&self) -> usize {
        self.decoder.needs()
    }

    /// Returns how many bytes of body are known to follow.
    pub(super) fn expects(&self) -> u64 {
        self.decoder.expects()
    }

    fn pieces(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> Result<BodyRead, BodyError> {
        let mut at = 0;
        loop {
            match self.decoder.next(bytes, &mut at)? {
                Piece::Data(range) => {
                    if take(range) == Err(OutOfMemory) {
                        return Ok(BodyRead::Failed);
                    }
                }
                Piece::NeedMore => return Ok(BodyRead::NeedMore),
                Piece::End { used } => {
                    return Ok(BodyRead::Complete { clean: used == bytes.len() && !self.is_last });
                }
            }
        }
    }
}
