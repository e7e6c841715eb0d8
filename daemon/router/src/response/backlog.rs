//! Buffer for the part of one response that a slow client has not taken yet, first in, first out.
//!
//! The first bytes are kept in memory, the others in an unnamed file that is removed with the response. It depends on
//! neither a client nor a clock.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;

use crate::app_protocol::buffer::LARGE;
use crate::metrics::problems::Problems;
use common::link::Problem;

/// How much may be kept, and where.
#[derive(Debug, Clone)]
pub(crate) struct BacklogOptions {
    /// The directory for files.
    pub(crate) dir: PathBuf,
    /// Maximum number of bytes of one response on disk; `None` for no limit.
    pub(crate) max_file_size: Option<u64>,
    /// Receives the report when nothing can be kept.
    pub(crate) problems: Arc<Problems>,
}

/// The buffered bytes.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    memory: Vec<u8>,
    start: usize,
    spill: Option<Spill>,
    /// No file can be used: only memory is used, and the app waits.
    without_file: bool,
}

/// Bytes on disk, behind those in memory.
#[derive(Debug)]
struct Spill {
    file: File,
    read: u64,
    written: u64,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.memory.len() && !self.is_spilling()
    }

    /// Stores as much from the front of `parts` as there is room for, and returns how much that was.
    pub(crate) fn push(&mut self, parts: &[IoSlice<'_>], options: &BacklogOptions) -> usize {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if !self.is_spilling() && self.memory.len() - self.start + len <= LARGE {
            parts.iter().for_each(|part| self.memory.extend_from_slice(part));
            return len;
        }
        if self.without_file {
            return 0;
        }
        self.spill(parts, options).unwrap_or_else(|why| {
            let dir = options.dir.display();
            options.problems.occurs(Problem::Buffers, || {
                format!("cannot buffer responses for slow clients in {dir}: {why}; processes wait for these clients")
            });
            self.without_file = true;
            0
        })
    }

    /// Returns the next bytes; empty when nothing is buffered.
    pub(crate) fn front(&mut self) -> io::Result<&[u8]> {
        if self.start == self.memory.len() {
            self.memory.clear();
            self.start = 0;
            if let Some(spill) = &mut self.spill {
                spill.move_to(&mut self.memory)?;
            }
        }
        Ok(&self.memory[self.start..])
    }

    /// Removes `len` bytes from the front. Their memory is freed even if the buffer never becomes empty.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.memory.len());
        if self.start >= LARGE {
            self.memory.drain(..self.start);
            self.start = 0;
        }
    }

    /// Discards everything, and frees memory and file.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn is_spilling(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| spill.read < spill.written)
    }

    fn spill(&mut self, parts: &[IoSlice<'_>], options: &BacklogOptions) -> io::Result<usize> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill { file: unnamed_file(&options.dir)?, read: 0, written: 0 }),
        };
        let room = options.max_file_size.map_or(u64::MAX, |max| max.saturating_sub(spill.written));
        spill.append(parts, usize::try_from(room).unwrap_or(usize::MAX))
    }
}

impl Spill {
    fn append(&mut self, parts: &[IoSlice<'_>], room: usize) -> io::Result<usize> {
        let mut taken = 0;
        for part in parts {
            let part = &part[..part.len().min(room - taken)];
            self.file.write_all_at(part, self.written + taken as u64)?;
            taken += part.len();
        }
        self.written += taken as u64;
        Ok(taken)
    }

    /// Moves bytes to `memory`. A file that was read to its end is truncated, so that it does not outgrow its limit.
    fn move_to(&mut self, memory: &mut Vec<u8>) -> io::Result<()> {
        let len = usize::try_from(self.written - self.read).unwrap_or(usize::MAX).min(LARGE);
        memory.resize(len, 0);
        self.file.read_exact_at(memory, self.read)?;
        self.read += len as u64;
        if self.read == self.written && self.written > 0 {
            self.file.set_len(0)?;
            (self.read, self.written) = (0, 0);
        }
        Ok(())
    }
}

/// Creates a file that no other process can open, removed when its descriptor is closed.
fn unnamed_file(dir: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(OFlag::O_TMPFILE.bits()).open(dir) {
        Err(why) if why.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => {}
        done => return done,
    }
    // Some file systems do not support `O_TMPFILE`.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!(".flying-passenger.{}.{number}", std::process::id()));
    let file = options.create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(max_file_size: Option<u64>) -> BacklogOptions {
        BacklogOptions { dir: std::env::temp_dir(), max_file_size, problems: Arc::default() }
    }

    fn push(backlog: &mut Backlog, bytes: &[u8], options: &BacklogOptions) -> usize {
        let (one, other) = bytes.split_at(bytes.len() / 3);
        backlog.push(&[IoSlice::new(one), IoSlice::new(other)], options)
    }

    /// Removes everything, `step` bytes at a time.
    fn drain(backlog: &mut Backlog, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !backlog.is_empty() {
            let front = backlog.front().unwrap();
            let len = front.len().min(step);
            out.extend_from_slice(&front[..len]);
            backlog.consume(len);
        }
        out
    }

    #[test]
    fn bytes_are_returned_in_order() {
        let options = options(None);
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7) as u8).collect();
        for (piece, step) in [(1_000, 500), (100_000, 7_000), (LARGE, 1 << 20), (LARGE + 1, 9_999)] {
            let (mut backlog, mut out) = (Backlog::default(), Vec::new());
            for (at, part) in bytes.chunks(piece).enumerate() {
                assert_eq!(push(&mut backlog, part, &options), part.len());
                // Some bytes are removed in between.
                if at % 3 == 0 {
                    let len = backlog.front().unwrap().len().min(step);
                    out.extend_from_slice(&backlog.front().unwrap()[..len]);
                    backlog.consume(len);
                }
            }
            out.extend(drain(&mut backlog, step));
            assert!(out == bytes, "pieces of {piece}, steps of {step}");
            assert!(backlog.front().unwrap().is_empty());
        }
    }

    #[test]
    fn memory_is_bounded_while_the_client_keeps_up() {
        let (options, mut backlog) = (options(None), Backlog::default());
        push(&mut backlog, &[0; 100], &options);
        for _ in 0..1_000 {
            assert_eq!(push(&mut backlog, &[1; 50_000], &options), 50_000);
            let len = backlog.front().unwrap().len().min(50_000);
            backlog.consume(len);
            assert!(backlog.memory.len() <= 2 * LARGE, "{} bytes are held for 100", backlog.memory.len());
        }
        assert!(backlog.spill.is_none());
        assert_eq!(drain(&mut backlog, LARGE).len(), 100);
    }

    #[test]
    fn the_file_is_limited_and_reused_when_it_is_empty() {
        let options = options(Some(1 << 20));
        let (part, mut backlog) = (vec![1; LARGE], Backlog::default());
        let fill =
            |backlog: &mut Backlog| (0..100).take_while(|_| push(backlog, &part, &options) > 0).count();
        assert_eq!(fill(&mut backlog), 1 + 8, "memory, then a file of one MiB");
        backlog.consume(LARGE);
        assert_eq!(push(&mut backlog, &part, &options), 0, "what was read does not make the file smaller");
        assert_eq!(drain(&mut backlog, LARGE).len(), 8 * LARGE);
        assert_eq!(fill(&mut backlog), 1 + 8);
    }

    #[test]
    fn without_a_file_only_memory_is_used() {
        let options =
            BacklogOptions { dir: "/nonexistent".into(), max_file_size: None, problems: Arc::default() };
        let mut backlog = Backlog::default();
        assert_eq!(push(&mut backlog, &vec![1; LARGE], &options), LARGE);
        assert_eq!(push(&mut backlog, b"more", &options), 0);
        assert_eq!(options.problems.list().len(), 1, "the problem is reported");
        assert_eq!(drain(&mut backlog, 1 << 20).len(), LARGE);
        assert_eq!(push(&mut backlog, b"more", &options), 4);
    }
}
