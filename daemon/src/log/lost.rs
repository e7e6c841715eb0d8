//! Standard error as a place that may refuse a line, as on a full disk: what was lost is counted, and told with the first
//! line that is taken again.

use std::io::{self, Stderr, Write};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Lines since the last one that was taken.
static LOST: AtomicU64 = AtomicU64::new(0);
/// Why, as the kernel's number.
static WHY: AtomicI32 = AtomicI32::new(0);

/// How many lines could not be written, and why; `None` when the last one could.
pub fn lost() -> Option<String> {
    match LOST.load(Ordering::Relaxed) {
        0 => None,
        count => {
            let why = io::Error::from_raw_os_error(WHY.load(Ordering::Relaxed));
            let lines = if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
            Some(format!("{lines} could not be written to the log: {why}"))
        }
    }
}

/// Where lines go.
pub(super) struct Lines(Stderr);

impl Lines {
    pub(super) fn new() -> Self {
        Self(io::stderr())
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    /// One line, with what is told before it.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.0.write_all(bytes);
        match &written {
            Ok(()) => LOST.store(0, Ordering::Relaxed),
            Err(why) => {
                WHY.store(why.raw_os_error().unwrap_or(0), Ordering::Relaxed);
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
        written
    }
}

/// Writes whole lines that another process has made, and tells how many were lost before.
pub fn pass_on(lines: &[u8]) {
    let lost = lost();
    let written = io::stderr().write_all(lines);
    match (written, lost) {
        (Ok(()), None) => {}
        (Ok(()), Some(lost)) => {
            LOST.store(0, Ordering::Relaxed);
            tracing::warn!(target: "log", "{lost}");
        }
        (Err(why), _) => {
            let count = lines.iter().filter(|byte| **byte == b'\n').count();
            WHY.store(why.raw_os_error().unwrap_or(0), Ordering::Relaxed);
            LOST.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}
