//! Finds the end of a head, and refuses lines that another server might end elsewhere: each ends with CR LF, and contains
//! no other CR, LF or NUL.

use std::ops::Range;

use crate::request::Refused;
use crate::request::check::{MAX_HEAD, MAX_LINE};

/// Empty lines before a request line that are skipped.
const MAX_EMPTY: usize = 4;

/// The state of the search.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    /// Where the search continues.
    at: usize,
    /// Where the head begins, and the current line.
    begin: usize,
    line: usize,
    has_request_line: bool,
}

impl HeadScanner {
    /// Returns the head in `bytes`, with its final empty line; `None` while it is not complete. `bytes` begin with those
    /// of the previous call.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, Refused> {
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                0 => return Err(Refused::bad("the head contains a NUL")),
                b'\r' => match bytes.get(self.at + 1) {
                    Some(b'\n') => {}
                    Some(_) => return Err(Refused::bad("the head contains a CR that no LF follows")),
                    None => return Ok(None),
                },
                b'\n' => {
                    if self.at == 0 || bytes[self.at - 1] != b'\r' {
                        return Err(Refused::bad("a line of the head ends with a bare LF"));
                    }
                    let is_empty = self.at - 1 == self.line;
                    self.at += 1;
                    self.line = self.at;
                    match (is_empty, self.has_request_line) {
                        (true, true) => return Ok(Some(self.begin..self.at)),
                        (true, false) => self.skip_empty()?,
                        (false, _) => self.has_request_line = true,
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            self.check_length()?;
        }
        Ok(None)
    }

    fn skip_empty(&mut self) -> Result<(), Refused> {
        self.begin = self.at;
        if self.begin > 2 * MAX_EMPTY {
            Err(Refused::bad("there are empty lines before the request"))
        } else {
            Ok(())
        }
    }

    fn check_length(&self) -> Result<(), Refused> {
        if !self.has_request_line && self.at - self.begin > MAX_LINE {
            return Err(Refused::status(414, "the request line is too long"));
        }
        if self.at - self.begin > MAX_HEAD {
            return Err(Refused::status(431, "the headers are too long"));
        }
        Ok(())
    }
}
