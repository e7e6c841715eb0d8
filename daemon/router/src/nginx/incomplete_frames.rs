//! Limits on incomplete frames from nginx: in bytes for all connections together, in time for each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Time limit for the first frame of a connection, from when the router waits for it.
const FIRST_LIMIT: Duration = Duration::from_secs(10);
/// Time limit for any other frame, from its first byte to its last.
const FRAME_LIMIT: Duration = Duration::from_secs(30);
/// Maximum bytes of incomplete frames. An ordinary request is complete at once and is never counted.
const MAX_BYTES: usize = 64 << 20;

/// Bytes of incomplete frames of all connections.
#[derive(Debug, Default)]
pub(crate) struct Incomplete(AtomicUsize);

/// One connection's part of them, while it waits for the rest of a frame.
#[derive(Debug)]
pub(super) struct Part<'a> {
    of: &'a Incomplete,
    bytes: usize,
    until: Option<Instant>,
}

impl Incomplete {
    /// Returns the part of a connection that waits for a frame; the time limit of a first frame starts now.
    pub(super) fn part(&self, is_first: bool) -> Part<'_> {
        let until = is_first.then(|| Instant::now() + FIRST_LIMIT);
        Part { of: self, bytes: 0, until }
    }

    /// Replaces a part of `before` bytes by one of `after`; returns the bytes of all.
    fn replace(&self, before: usize, after: usize) -> usize {
        if before == after {
            return self.0.load(Ordering::Relaxed);
        }
        let all = self.0.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        all.wrapping_add(after.wrapping_sub(before))
    }
}

impl Part<'_> {
    /// Sets how many bytes the connection has now; false when the limit is exceeded.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let all = self.of.replace(self.bytes, bytes);
        self.bytes = bytes;
        if bytes > 0 && self.until.is_none() {
            self.until = Some(Instant::now() + FRAME_LIMIT);
        }
        all <= MAX_BYTES
    }

    /// Resolves when the time limit of the frame is exceeded; never between two frames.
    pub(super) async fn expired(&self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.of.replace(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_frames_are_bounded_in_size_and_time() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let all = Incomplete::default();
            let (mut one, mut other) = (all.part(false), all.part(false));
            assert!(one.set(MAX_BYTES / 2) && other.set(MAX_BYTES / 2), "the limit itself is allowed");
            assert!(!other.set(MAX_BYTES / 2 + 1));
            drop(one);
            assert!(other.set(MAX_BYTES / 2 + 1), "bytes of closed connections are not counted");
            let begin = Instant::now();
            other.expired().await;
            assert_eq!(begin.elapsed(), FRAME_LIMIT);
            all.part(true).expired().await;
            assert_eq!(begin.elapsed(), FRAME_LIMIT + FIRST_LIMIT);
            drop(other);
            assert_eq!(all.0.load(Ordering::Relaxed), 0);
        });
    }
}
