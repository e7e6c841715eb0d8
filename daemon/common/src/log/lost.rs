//! The count of lines that could not be written, as on a full disk; it is logged with the next line that can be
//! written. Lines go to the log [writer] or, without one, to standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::queue::SILENCE;
use super::writer;

/// Lines lost since the last successful write.
static LOST: AtomicU64 = AtomicU64::new(0);
/// The error number of the last failed write; 0 if the writer's queue was full.
static WHY: AtomicI32 = AtomicI32::new(0);

/// Returns how many lines could not be written, and why; `None` if the last one was written.
pub(super) fn lost() -> Option<String> {
    match LOST.load(Ordering::Relaxed) {
        0 => None,
        count => {
            let why = reason(WHY.load(Ordering::Relaxed));
            let lines = if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
            Some(format!("{lines} could not be written to the log: {why}"))
        }
    }
}

/// Returns the problem of the log as a message; `None` if lines can be written.
pub fn failure() -> Option<String> {
    if writer::hangs() {
        return Some(format!("the log hangs: {}", reason(0)));
    }
    let lost = LOST.load(Ordering::Relaxed) > 0;
    let why = if lost { WHY.load(Ordering::Relaxed) } else { writer::refused() };
    (lost || why != 0).then(|| format!("lines could not be written to the log: {}", reason(why)))
}

fn reason(errno: i32) -> String {
    if errno == 0 {
        let silence = SILENCE.as_secs();
        return format!(
            "it accepted nothing for {silence} seconds (a disk that hangs, or a pipe that is not read)"
        );
    }
    io::Error::from_raw_os_error(errno).to_string()
}

/// Returns the result of this process's last write: 0 or an error number.
pub(super) fn errno() -> i32 {
    if LOST.load(Ordering::Relaxed) > 0 { WHY.load(Ordering::Relaxed) } else { 0 }
}

/// Writes `count` lines at once. All are counted as lost if any part of them cannot be written.
pub(super) fn write(lines: &[u8], count: usize) {
    note(&pass_on(lines), count as u64);
}

fn pass_on(lines: &[u8]) -> io::Result<()> {
    writer::enqueue(lines).unwrap_or_else(|| io::stderr().write_all(lines))
}

fn note(written: &io::Result<()>, lines: u64) {
    match written {
        Ok(()) => LOST.store(0, Ordering::Relaxed),
        Err(why) => {
            WHY.store(why.raw_os_error().unwrap_or(0), Ordering::Relaxed);
            LOST.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

/// The destination of lines.
pub(super) struct Lines;

impl Lines {
    pub(super) fn new() -> Self {
        Self
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        pass_on(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes one line, together with the line about lost ones.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = pass_on(bytes);
        note(&written, 1);
        written
    }
}
