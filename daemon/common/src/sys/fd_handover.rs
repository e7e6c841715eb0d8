//! Descriptors from one program to the next in the same process: packed before an `exec` they have a number that outlives
//! it, and the next program takes them by these numbers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{self, FcntlArg, FdFlag, Flock, FlockArg};
use nix::libc;
use nix::sys::memfd::{self, MFdFlags};

/// Above standard input, output and error, which the next program has anyway.
const FIRST: RawFd = 3;

/// Copies that stay open over an `exec`. Dropped, when there is none after all, they are closed.
#[derive(Debug, Default)]
pub struct HandoverWriter(Vec<OwnedFd>);

impl HandoverWriter {
    /// Packs a copy. The number is the next program's.
    pub fn pack(&mut self, fd: impl AsFd) -> io::Result<RawFd> {
        let number = fcntl::fcntl(fd.as_fd(), FcntlArg::F_DUPFD(FIRST))?;
        // SAFETY: F_DUPFD has just made this descriptor for us.
        self.0.push(unsafe { OwnedFd::from_raw_fd(number) });
        Ok(number)
    }

    /// Packs bytes, as a file of memory.
    pub fn pack_bytes(&mut self, bytes: &[u8]) -> io::Result<RawFd> {
        let mut file = File::from(memfd::memfd_create("flying-passenger", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        self.pack(file)
    }
}

/// What the program before has packed.
#[derive(Debug)]
pub struct HandoverReader {
    taken: BTreeSet<RawFd>,
}

impl HandoverReader {
    /// Once in a process's life, before it opens anything; `None` the second time.
    pub fn once() -> Option<Self> {
        static BEGUN: AtomicBool = AtomicBool::new(false);
        (!BEGUN.swap(true, Ordering::SeqCst)).then(|| Self { taken: BTreeSet::new() })
    }

    /// Takes a descriptor by its number. It is no child's from here on.
    ///
    /// # Errors
    ///
    /// When there is none, when it was taken already, or when it was not packed: all else closes at an `exec`.
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

    /// Takes a file that was packed with its lock, which is this process's still: it belongs to the open file.
    pub fn take_lock(&mut self, number: RawFd) -> io::Result<Flock<File>> {
        Flock::lock(File::from(self.take(number)?), FlockArg::LockExclusiveNonblock)
            .map_err(|(_, why)| why.into())
    }

    /// Takes what was packed as bytes.
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
    fn a_lock_is_never_let_go() {
        let path = std::env::temp_dir().join(format!("fp-luggage-{}", std::process::id()));
        let open = || File::options().write(true).create(true).truncate(false).open(&path).unwrap();
        let lock = Flock::lock(open(), FlockArg::LockExclusiveNonblock).unwrap();
        let mut writer = HandoverWriter::default();
        writer.pack(&*lock).unwrap();
        // As at an exec, the copy alone is left.
        std::mem::forget(lock);
        assert!(Flock::lock(open(), FlockArg::LockExclusiveNonblock).is_err(), "it is held");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_packed_is_taken_once_and_nothing_else_is() {
        let mut reader = HandoverReader::once().unwrap();
        assert!(HandoverReader::once().is_none());
        let mut writer = HandoverWriter::default();
        let number = writer.pack_bytes(b"state").unwrap();
        // What the next program finds: nothing owns the number any more.
        std::mem::forget(writer);
        assert_eq!(reader.take_bytes(number).unwrap(), b"state");
        let own = File::open("/dev/null").unwrap();
        for number in [number, own.as_raw_fd(), 1, 100_000] {
            assert!(reader.take(number).is_err(), "{number}");
        }
    }
}
