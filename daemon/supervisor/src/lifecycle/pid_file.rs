//! The daemon's PID file: locked as long as the daemon lives, so that a stale file is recognized, and removed at the
//! end.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use serde::{Deserialize, Serialize};

use common::sys::fd_handover::{HandoverReader, HandoverWriter};

/// The PID file of this daemon.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    lock: Flock<File>,
}

/// The state of the PID file that is handed to the next program in the same process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PackedPidFile {
    path: PathBuf,
    lock: RawFd,
}

/// Why there is no PID file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidFileError {
    /// A running daemon holds it; with the PID that the file contains.
    #[error("the PID file {0} belongs to a running daemon with PID {1}")]
    Held(PathBuf, String),
    /// It cannot be created or written.
    #[error("the PID file {0} cannot be written: {1}")]
    Io(PathBuf, io::Error),
}

impl PidFile {
    /// Takes the file of a daemon that has ended, or creates one.
    pub(super) fn take(path: &Path) -> Result<Self, PidFileError> {
        let failed = |why| PidFileError::Io(path.to_path_buf(), why);
        let lock = lock(path)?;
        write_pid(&lock).map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), lock })
    }

    /// Packs it for the next program.
    pub(crate) fn pack(&self, writer: &mut HandoverWriter) -> io::Result<PackedPidFile> {
        Ok(PackedPidFile { path: self.path.clone(), lock: writer.pack(&*self.lock)? })
    }

    /// Unpacks that of the previous program, which had the same PID.
    pub(super) fn unpack(packed: PackedPidFile, reader: &mut HandoverReader) -> io::Result<Self> {
        Ok(Self { path: packed.path, lock: reader.take_lock(packed.lock)? })
    }

    /// Removes the file if it is still the one that was created.
    pub(crate) fn remove(self) {
        if is_at(&self.lock, &self.path)
            && let Err(why) = fs::remove_file(&self.path)
        {
            tracing::warn!("the PID file {} cannot be removed: {why}", self.path.display());
        }
    }
}

/// Locks the file that is at the path after locking: the previous daemon removes its file when it ends.
fn lock(path: &Path) -> Result<Flock<File>, PidFileError> {
    let failed = |why| PidFileError::Io(path.to_path_buf(), why);
    loop {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) if is_at(&lock, path) => return Ok(lock),
            Ok(_) => {}
            Err((file, _)) => {
                let pid = pid_in(&file).map_err(failed)?;
                if is_mine(&pid) {
                    return Err(PidFileError::Held(path.to_path_buf(), pid));
                }
                // Every user can read the file, and therefore lock it, once the daemon has ended without removing it.
                if is_at(&file, path) {
                    fs::remove_file(path).map_err(failed)?;
                    tracing::warn!(
                        "removed the PID file {}: another process has locked it, but its daemon (PID {pid}) has ended",
                        path.display()
                    );
                }
            }
        }
    }
}

fn pid_in(mut file: &File) -> io::Result<String> {
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    Ok(pid.trim().to_owned())
}

/// Whether a process of this user has the PID. An empty file is about to be written by a daemon.
fn is_mine(pid: &str) -> bool {
    if pid.parse::<u32>().is_err() {
        return true;
    }
    let found = fs::metadata(Path::new("/proc").join(pid));
    found.map_or_else(
        |why| why.kind() != io::ErrorKind::NotFound,
        |found| found.uid() == nix::unistd::geteuid().as_raw(),
    )
}

fn is_at(file: &File, path: &Path) -> bool {
    let ours = file.metadata().map(|meta| (meta.dev(), meta.ino()));
    let there = fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
}

fn write_pid(file: &File) -> io::Result<()> {
    file.set_len(0)?;
    let mut file = file;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("fp-pid-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_file_of_a_killed_daemon_is_taken_over() {
        let path = place("stale");
        fs::write(&path, "123456789\n").unwrap();
        let file = PidFile::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        file.remove();
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_a_killed_daemon_is_taken_over_despite_a_lock() {
        let path = place("locked");
        fs::write(&path, "123456789\n").unwrap();
        let other = Flock::lock(File::open(&path).unwrap(), FlockArg::LockSharedNonblock).unwrap();
        let file = PidFile::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(other);
        assert!(PidFile::take(&path).is_err(), "the new one is locked");
        file.remove();
    }

    #[test]
    fn a_file_without_a_pid_belongs_to_a_starting_daemon() {
        let path = place("empty");
        fs::write(&path, "").unwrap();
        let _first = Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Held(..))));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_file_of_a_live_daemon_is_kept() {
        let path = place("live");
        let first = PidFile::take(&path).unwrap();
        let message = PidFile::take(&path).unwrap_err().to_string();
        assert!(message.ends_with(&format!("with PID {}", std::process::id())), "{message}");
        first.remove();
    }

    #[test]
    fn follows_no_symbolic_link_and_removes_no_other_file() {
        let path = place("link");
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Io(..))));
        fs::remove_file(&path).unwrap();
        let file = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        file.remove();
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
        fs::remove_file(&path).unwrap();
    }
}
