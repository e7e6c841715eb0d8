//! The body of an answer on its way to the client: bytes of the daemon's frames come in, ranges that are body go out.

use std::ops::Range;

use module_core::response_body::{BodyDecoder, BodyError, Piece};
use protocol::request::BodyLength;

use crate::ffi::exchange::BodyRead;
use crate::ffi::pool::OutOfMemory;
use crate::ffi::request::Request;

/// Decodes the body, once the answer's head was found.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    decoder: BodyDecoder,
    /// The connection is of no further use, however well the body ends.
    is_last: bool,
}

impl AnswerBody {
    /// Nothing is known of the answer.
    pub(crate) fn unknown() -> Self {
        Self { decoder: BodyDecoder::new(BodyLength::Unknown, false), is_last: false }
    }

    /// The head tells how it is to be decoded.
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

    /// Bytes that must still come before it can go on; 0 when it is complete.
    pub(crate) fn needs(&self) -> usize {
        self.decoder.needs()
    }

    /// Bytes that are known to be still to come.
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
