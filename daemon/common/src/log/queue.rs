//! A bounded queue of log lines for the log writer. It is pure: the caller passes the time and the socket.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Maximum bytes in the queue. Further lines are lost.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes in the queue from which the supervisor does not read the router's lines, unless the log hangs.
const HIGH_WATER: usize = 1024 * 1024;
/// How long the log may accept nothing before it is considered hanging.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// The queue, and the bytes that the writer has received and not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: VecDeque<u8>,
    unacknowledged: usize,
    /// Whether the last byte sent is not the end of its line.
    mid_line: bool,
    /// When the writer last acknowledged bytes, or received some while it had none; `None` while it has none.
    since: Option<Instant>,
    /// Whether lines were lost and the queue has not become half empty since.
    overflowed: bool,
}

impl Queue {
    /// Appends complete lines. Returns false if there is no room and they are lost.
    pub(super) fn push(&mut self, lines: &[u8], now: Instant) -> bool {
        let most = if self.overflowed { MAX_BYTES / 2 } else { MAX_BYTES };
        self.overflowed = self.bytes.len() + lines.len() > most;
        if self.overflowed {
            return false;
        }
        self.bytes.extend(lines);
        self.since.get_or_insert(now);
        true
    }

    /// Writes as much as `out` accepts without blocking.
    pub(super) fn send(&mut self, out: &mut impl Write) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match out.write(self.bytes.as_slices().0) {
                Ok(count) => {
                    self.mid_line = self.bytes.drain(..count).next_back().is_some_and(|last| last != b'\n');
                    self.unacknowledged += count;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Records that the writer has written this many bytes.
    pub(super) fn acknowledge(&mut self, count: usize, now: Instant) {
        self.unacknowledged = self.unacknowledged.saturating_sub(count);
        self.since = (!self.is_empty()).then_some(now);
    }

    /// Prepares for another writer. The last one keeps what it received; the rest of a partially sent line is dropped.
    pub(super) fn begin_again(&mut self, now: Instant) {
        if std::mem::take(&mut self.mid_line) {
            let rest =
                self.bytes.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |end| end + 1);
            self.bytes.drain(..rest);
        }
        self.acknowledge(self.unacknowledged, now);
    }

    /// Whether lines were lost and there is room again.
    pub(super) fn has_recovered(&self) -> bool {
        self.overflowed && self.bytes.len() < MAX_BYTES / 2
    }

    /// Whether bytes wait to be sent.
    pub(super) fn waits(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Whether everything is in the log.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.unacknowledged == 0
    }

    /// When the log is considered hanging, unless it accepts something.
    pub(super) fn hangs_at(&self) -> Option<Instant> {
        self.since.map(|since| since + SILENCE)
    }

    /// Whether the log has accepted nothing for that long.
    pub(super) fn hangs(&self, now: Instant) -> bool {
        self.hangs_at().is_some_and(|at| at <= now)
    }

    /// Whether the router's lines are read: a slow log makes the router wait, a hanging one does not.
    pub(super) fn wants_more(&self, now: Instant) -> bool {
        self.bytes.len() < HIGH_WATER || self.hangs(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts some bytes, then no more.
    struct Narrow(Vec<u8>, usize);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.1 -= count;
            self.0.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_keep_their_order_and_count_until_acknowledged() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert!(queue.push(b"one\n", now) && queue.push(b"two\n", now));
        let mut out = Narrow(Vec::new(), 6);
        queue.send(&mut out).unwrap();
        assert!(queue.waits());
        out.1 = 100;
        queue.send(&mut out).unwrap();
        assert_eq!(out.0, b"one\ntwo\n");
        assert!(!queue.waits() && !queue.is_empty());
        queue.acknowledge(8, now);
        assert!(queue.is_empty() && queue.hangs_at().is_none());
    }

    #[test]
    fn a_full_queue_loses_lines_until_it_is_half_empty() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let line = [b'x'; 1024];
        let taken = (0..).take_while(|_| queue.push(&line, now)).count();
        assert_eq!(taken, MAX_BYTES / line.len());
        assert!(!queue.push(b"short\n", now), "a short line does not overtake");
        assert!(!queue.has_recovered());
        queue.send(&mut Narrow(Vec::new(), MAX_BYTES / 2 + 1024)).unwrap();
        assert!(queue.has_recovered() && queue.push(b"short\n", now));
    }

    #[test]
    fn a_log_that_accepts_nothing_hangs_and_a_slow_log_does_not() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert!(queue.push(&[b'x'; HIGH_WATER], now));
        assert!(!queue.wants_more(now), "a slow log makes the router wait");
        queue.send(&mut Narrow(Vec::new(), 1000)).unwrap();
        queue.acknowledge(10, now + SILENCE / 2);
        assert!(!queue.hangs(now + SILENCE));
        assert!(queue.hangs(now + SILENCE * 2));
        assert!(queue.wants_more(now + SILENCE * 2));
    }

    #[test]
    fn the_next_writer_receives_no_partial_line() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(b"one\ntwo\n", now);
        queue.send(&mut Narrow(Vec::new(), 2)).unwrap();
        queue.begin_again(now);
        let mut out = Narrow(Vec::new(), 100);
        queue.send(&mut out).unwrap();
        assert_eq!(out.0, b"two\n");
    }
}
