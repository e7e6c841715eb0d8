//! The router's log: a pipe whose lines the supervisor writes into its own log.
//!
//! The router holds no descriptor of the log, so it can neither cut the log off nor read it. What it writes is bounded in
//! the bytes of one turn and in the length of a line, and control characters are replaced.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{self, FcntlArg, OFlag};
use nix::unistd;

use crate::log;
use crate::sys::descriptors;

/// Bytes taken before other events are looked at again.
const AT_A_TIME: usize = 256 * 1024;
/// A longer line is broken.
const LONGEST_LINE: usize = 256 * 1024;
/// What the pipe holds, so that the router rarely waits for the supervisor.
const CAPACITY: i32 = 1024 * 1024;

/// The reading end, until the router has closed the other.
#[derive(Debug)]
pub(super) struct RouterLog {
    pipe: Option<std::fs::File>,
    /// The beginning of a line.
    partial: Vec<u8>,
}

impl RouterLog {
    /// A pipe, whose other end is the router's standard error.
    pub(super) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        descriptors::set_nonblocking(&ours)?;
        // An unprivileged daemon may have reached its limit for pipes; a small one works as well.
        let _ = fcntl::fcntl(&ours, FcntlArg::F_SETPIPE_SZ(CAPACITY));
        Ok((Self { pipe: Some(ours.into()), partial: Vec::new() }, theirs))
    }

    /// Readable when the router has written something.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Writes what has come to the log. True when there may be more.
    pub(super) fn pass_on(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let begins = self.partial.len();
        let limit = u64::try_from(AT_A_TIME).unwrap_or(u64::MAX);
        let read = pipe.take(limit).read_to_end(&mut self.partial);
        let came = self.partial.len() - begins;
        let more = match read {
            // The end of the pipe, unless the limit was reached.
            Ok(_) if came < AT_A_TIME => {
                self.pipe = None;
                false
            }
            Ok(_) => true,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.pipe = None;
                false
            }
        };
        self.write(begins);
        more
    }

    /// Writes the whole lines, and the rest when no more will come or it is too long.
    fn write(&mut self, begins: usize) {
        self.partial[begins..].iter_mut().for_each(replace_control);
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let ends = self.pipe.is_none() && whole < self.partial.len();
        if ends || self.partial.len() - whole > LONGEST_LINE {
            self.partial.push(b'\n');
            log::pass_on(&self.partial);
            self.partial.clear();
        } else if whole > 0 {
            log::pass_on(&self.partial[..whole]);
            self.partial.drain(..whole);
        }
    }
}

/// The router escapes what apps print; another program in its place might not.
fn replace_control(byte: &mut u8) {
    if byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t') {
        *byte = b'?';
    }
}
