//! The router's log output: a pipe that the router writes to and the supervisor copies, line by line, into the log.
//!
//! A slow log makes the router wait; a log that hangs loses the router's lines, but blocks neither process
//! ([`common::log::writer`]).
//!
//! The router holds no descriptor of the log file, so that it can neither truncate it nor write into its middle. The
//! supervisor never waits for the pipe, copies a bounded amount at a time, breaks lines that are too long and replaces
//! control characters, which the router escapes unless it is compromised. A line that does not name the router as its source
//! becomes the text of one that does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, OFlag};
use nix::unistd;

/// Longest line in bytes; a longer one is broken. The router's own lines are shorter.
const MAX_LINE: usize = 256 * 1024;
/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;
/// Reads before the supervisor handles its other events again.
const CHUNKS_AT_A_TIME: usize = 8;
/// Requested capacity of the pipe, so that the router does not wait for each iteration of the supervisor's loop. The
/// kernel may grant less.
const CAPACITY: i32 = 1024 * 1024;

/// The supervisor's end of the pipe.
#[derive(Debug)]
pub(crate) struct RouterLog {
    /// `None` after the end of file.
    pipe: Option<OwnedFd>,
    /// The beginning of a line whose end has not been received.
    partial: Vec<u8>,
}

impl RouterLog {
    /// Creates the pipe; returns the supervisor's end and the descriptor that becomes the router's standard error.
    ///
    /// # Errors
    ///
    /// When no pipe can be created.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        common::sys::descriptors::set_nonblocking(&read)?;
        // Fails if the user has used up the pages for pipes; the default of 64 KiB suffices then.
        let _ = fcntl::fcntl(&write, FcntlArg::F_SETPIPE_SZ(CAPACITY));
        Ok((Self { pipe: Some(read), partial: Vec::new() }, write))
    }

    /// The descriptor that becomes readable when there is data to copy; `None` after the router has closed its end.
    pub(crate) fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Passes complete lines to `write`, up to a limit. Returns whether more may be left.
    pub(super) fn copy(&mut self, write: &mut impl FnMut(&[u8])) -> bool {
        let mut chunk = vec![0; CHUNK];
        for _ in 0..CHUNKS_AT_A_TIME {
            let Some(pipe) = &self.pipe else { return false };
            match unistd::read(pipe, &mut chunk) {
                Ok(0) => return self.end(write),
                Ok(length) => self.take(&chunk[..length], write),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(_) => return self.end(write),
            }
        }
        true
    }

    fn take(&mut self, bytes: &[u8], write: &mut impl FnMut(&[u8])) {
        self.partial.extend(bytes.iter().map(|byte| if is_control(*byte) { b'?' } else { *byte }));
        if let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') {
            mask(&mut self.partial[..end]);
            write(&self.partial[..=end]);
            self.partial.drain(..=end);
        }
        if self.partial.len() >= MAX_LINE {
            self.break_line(write);
        }
    }

    fn end(&mut self, write: &mut impl FnMut(&[u8])) -> bool {
        self.pipe = None;
        if !self.partial.is_empty() {
            self.break_line(write);
        }
        false
    }

    fn break_line(&mut self, write: &mut impl FnMut(&[u8])) {
        mask(&mut self.partial);
        self.partial.push(b'\n');
        write(&self.partial);
        self.partial.clear();
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t')
}

/// Replaces the control characters that take two bytes in UTF-8, and those that change the direction of text or separate
/// lines.
fn mask(text: &mut [u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0xc2 | 0xe2)) {
        rest = &mut rest[at..];
        let length = match rest {
            [0xc2, 0x80..=0x9f, ..] => 2,
            [0xe2, 0x80, 0xa8..=0xae, ..] | [0xe2, 0x81, 0xa6..=0xa9, ..] => 3,
            _ => 0,
        };
        rest[..length].fill(b'?');
        rest = &mut rest[length.max(1)..];
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn copied(log: &mut RouterLog) -> Vec<Vec<u8>> {
        let mut written = Vec::new();
        while log.copy(&mut |lines| written.push(lines.to_vec())) {}
        written
    }

    #[test]
    fn only_complete_lines_are_copied() {
        let (mut log, pipe) = RouterLog::pair().unwrap();
        let mut pipe = File::from(pipe);
        pipe.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(copied(&mut log), [b"one\ntwo\n"]);
        pipe.write_all(b"ee\n").unwrap();
        assert_eq!(copied(&mut log), [b"three\n"]);
        pipe.write_all(b"last\x1b[2Jwords").unwrap();
        drop(pipe);
        assert_eq!(copied(&mut log), [b"last?[2Jwords\n"]);
        assert!(log.readable().is_none());
    }

    #[test]
    fn control_characters_of_several_bytes_are_replaced() {
        let (mut log, pipe) = RouterLog::pair().unwrap();
        let mut pipe = File::from(pipe);
        let (first, second) = "a\u{9b}31m\u{202e}b\u{2066}\u{2028}\u{e9}\u{20ac}\n".as_bytes().split_at(2);
        pipe.write_all(first).unwrap();
        assert_eq!(copied(&mut log), Vec::<Vec<u8>>::new());
        pipe.write_all(second).unwrap();
        assert_eq!(copied(&mut log), ["a??31m???b??????\u{e9}\u{20ac}\n".as_bytes()]);
    }

    #[test]
    fn a_line_without_end_is_broken() {
        let (mut log, pipe) = RouterLog::pair().unwrap();
        let mut pipe = File::from(pipe);
        let (mut lines, mut sent) = (Vec::new(), 0);
        while lines.is_empty() {
            pipe.write_all(&[b'x'; 4096]).unwrap();
            sent += 4096;
            log.copy(&mut |written| lines.push(written.to_vec()));
            assert!(sent <= 2 * MAX_LINE);
        }
        assert_eq!((lines[0].len(), lines[0].last()), (MAX_LINE + 1, Some(&b'\n')));
    }

    #[test]
    fn a_flood_of_lines_does_not_block_the_supervisor() {
        let (mut log, pipe) = RouterLog::pair().unwrap();
        let mut pipe = File::from(pipe);
        let flood = std::thread::spawn(move || {
            let line = [b"y".repeat(1023), b"\n".to_vec()].concat();
            (0..4096).try_for_each(|_| pipe.write_all(&line))
        });
        let (mut total, mut most) = (0, 0);
        while log.readable().is_some() {
            let mut at_once = 0;
            log.copy(&mut |lines| at_once += lines.len());
            (total, most) = (total + at_once, most.max(at_once));
        }
        flood.join().unwrap().unwrap();
        assert_eq!(total, 4096 * 1024);
        assert!(most <= CHUNK * CHUNKS_AT_A_TIME + MAX_LINE, "{most} bytes in one turn");
    }
}
