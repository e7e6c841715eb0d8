//! Buffer of received bytes that are not used yet.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Size of one read, in bytes: enough for an ordinary request or response, and what an idle connection may keep.
pub(crate) const SMALL: usize = 16 * 1024;
/// Size of one read of a body, in bytes: few system calls, and the maximum that a slow reader makes the router hold.
pub(crate) const LARGE: usize = 128 * 1024;

/// A buffer that is filled at its end and used from its front.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
}

impl Input {
    /// Returns what was received and not used.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Marks `len` bytes as used.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.bytes.len());
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Reads once, with room for `room` bytes; returns how many were read, 0 at the end of the stream.
    pub(crate) async fn fill(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        room: usize,
    ) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() - self.bytes.len() < room {
            self.bytes.reserve_exact(room);
        }
        from.read_buf(&mut self.bytes).await
    }

    /// Discards everything.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Frees the memory of a large message.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > SMALL {
            self.bytes = Vec::new();
        }
    }
}
