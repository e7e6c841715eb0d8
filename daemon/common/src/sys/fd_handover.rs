//! The handover of descriptors to the next program in the same process: packed before an `exec`, they get numbers that
//! remain valid after it, by which the next program takes them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{self, FcntlArg, FdFlag, Flock, FlockArg};
use nix::libc;
use nix::sys::memfd::{self, MFdFlags};

/// The first number above standard input, output and error, which the next program inherits anyway.
const FIRST: RawFd = 3;

/// Copies that stay open over an `exec`. If there is none after all, they are closed when dropped.
#[derive(Debug, Default)]
pub struct HandoverWriter(Vec<OwnedFd>);

impl HandoverWriter {
    /// Packs a copy. Returns the number for the next program.
    pub fn pack(&mut self, fd: impl AsFd) -> io::Result<RawFd> {
        let number = fcntl::fcntl(fd.as_fd(), FcntlArg::F_DUPFD(FIRST))?;
        // SAFETY: F_DUPFD has just made this descriptor for us.
        self.0.push(unsafe { OwnedFd::from_raw_fd(number) });
        Ok(number)
    }

    /// Packs bytes, as a file in memory.
    pub fn pack_bytes(&mut self, bytes: &[u8]) -> io::Result<RawFd> {
        let mut file = File::from(memfd::memfd_create("flying-passenger", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        self.pack(file)
    }
}

/// The descriptors packed by the previous program.
#[derive(Debug)]
pub struct HandoverReader {
    taken: BTreeSet<RawFd>,
}

impl HandoverReader {
    /// Returns the reader, once in a process's life, before it opens anything; `None` the second time.
    pub fn once() -> Option<Self> {
        static BEGUN: AtomicBool = AtomicBool::new(false);
        (!BEGUN.swap(true, Ordering::SeqCst)).then(|| Self { taken: BTreeSet::new() })
    }

    /// Takes a descriptor by its number. Children no longer inherit it.
    ///
    /// # Errors
    ///
    /// If it does not exist, was already taken, or was not packed: all others are closed by an `exec`.
    pub fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        // SAFETY: F_GETFD reads a flag and touches no memory.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags < 0 {
            return Err(io::Error::last_os_error());
        }
        if number < FIRST || flags & libc::FD_CLOEXEC != 0 || !self.taken.insert(number) {
            return Err(io::Error::other(format!("descriptor {number} was not packed")));
        }
        // SAFETY: the descriptor is open. What this program has opened itself closes at an exec, and this does not: so it
        // was open before this program began, and nothing here owns it. It is taken once, as `taken` and `once` see to.
        let taken = unsafe { OwnedFd::from_raw_fd(number) };
        fcntl::fcntl(&taken, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(taken)
    }

    /// Takes a file that was packed with its lock. This process still holds the lock, which belongs to the open file.
    pub fn take_lock(&mut self, number: RawFd) -> io::Result<Flock<File>> {
        Flock::lock(File::from(self.take(number)?), FlockArg::LockExclusiveNonblock)
            .map_err(|(_, why)| why.into())
    }

    /// Takes packed bytes.
    pub fn take_bytes(&mut self, number: RawFd) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::from(self.take(number)?).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_lock_is_held_across_the_handover() {
        let path = std::env::temp_dir().join(format!("fp-handover-{}", std::process::id()));
        let open = || File::options().write(true).create(true).truncate(false).open(&path).unwrap();
        let lock = Flock::lock(open(), FlockArg::LockExclusiveNonblock).unwrap();
        let mut writer = HandoverWriter::default();
        writer.pack(&*lock).unwrap();
        // As at an exec, only the copy is left.
        std::mem::forget(lock);
        assert!(Flock::lock(open(), FlockArg::LockExclusiveNonblock).is_err(), "it is held");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn only_packed_descriptors_are_taken_and_each_once() {
        let mut reader = HandoverReader::once().unwrap();
        assert!(HandoverReader::once().is_none());
        let mut writer = HandoverWriter::default();
        let number = writer.pack_bytes(b"state").unwrap();
        // As in the next program, no value owns the number any more.
        std::mem::forget(writer);
        assert_eq!(reader.take_bytes(number).unwrap(), b"state");
        let own = File::open("/dev/null").unwrap();
        for number in [number, own.as_raw_fd(), 1, 100_000] {
            assert!(reader.take(number).is_err(), "{number}");
        }
    }
}
