//! The body of a response: the ranges of the daemon's frames that are body.

use std::ops::Range;

use module_core::response_body::{BodyDecoder, BodyError, Piece};
use protocol::request::BodyLength;

use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;
use crate::ffi::upstream::exchange::BodyRead;

/// Decoder of the body, once the response's head is found.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    decoder: BodyDecoder,
    /// The connection cannot be reused, even if the body is complete.
    is_last: bool,
}

impl ResponseBody {
    /// Returns a decoder for a response of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { decoder: BodyDecoder::new(BodyLength::Unknown, false), is_last: false }
    }

    /// Starts to decode the body, as described by the head.
    pub(crate) fn begins(&mut self, decoder: BodyDecoder, is_last: bool) {
        *self = Self { decoder, is_last };
    }

    /// Calls `take` with each range of `bytes` that is body.
    pub(crate) fn read(
        &mut self,
        request: Request<'_>,
        bytes: &[u8],
        take: &mut dyn FnMut(Range<usize>) -> Result<(), OutOfMemory>,
    ) -> BodyRead {
        match self.pieces(bytes, take) {
            Ok(read) => read,
            Err(err) => {
                request.log().error(format_args!("{err}"));
                BodyRead::Broken
            }
        }
    }

    /// Returns how many more bytes are needed at least; 0 when the body is complete.
    pub(crate) fn needs(&self) -> usize {
        self.decoder.needs()
    }

    /// Returns how many bytes of body are known to follow.
    pub(crate) fn expects(&self) -> u64 {
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
