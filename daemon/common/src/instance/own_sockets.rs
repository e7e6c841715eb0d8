//! Directories in which app processes open their own sockets: each is accessible only to one process and the router.
//!
//! They are below `/tmp`, which every user can write to: an app that fills its directory fills only what it could fill
//! anyway, and not the file system of `/run`. If `/tmp` cannot be used, they are in the instance directory.
//!
//! Apps control the contents of these directories: they are accessed by descriptor, without following links, checked
//! before they are changed, and removed by a separate process.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{self, AT_FDCWD, OFlag};
use nix::sys::stat::{self, FchmodatFlags, Mode, SFlag};
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

use super::directory::{check_safe, make_directory, names_in, open_directory};
use super::sweep;
use crate::link::ProcessId;
use crate::sys::process::Child;

/// Where the directories are if possible. Not `$TMPDIR`, which may belong to another user.
const TEMPORARY: &str = "/tmp";
/// The name of the socket in its directory.
const SOCKET: &str = "socket";
/// How long the shutdown, or the start of the next daemon, may wait for removals.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The parent directories of the processes' directories.
#[derive(Debug)]
pub(super) struct OwnSockets {
    /// Below [`TEMPORARY`]. It exists as long as the daemon, so that no other user can create it meanwhile.
    temporary: PathBuf,
    /// In the instance directory.
    path: PathBuf,
    directory: OwnedFd,
    /// The router's group; `None` if every process runs as the daemon's user.
    router: Option<Gid>,
    /// Processes that remove directories that are no longer needed.
    sweeps: RefCell<Vec<Child>>,
}

impl OwnSockets {
    /// Creates the parent directories. `parent` is the instance directory, whose path is `path`.
    pub(super) fn make(parent: &OwnedFd, path: &Path, name: &str, router: Option<Gid>) -> io::Result<Self> {
        // Everyone may search it; the directories inside have their own modes.
        let directory = make_directory(parent, name, 0o711)?;
        let sockets = Self::at(path, name, directory, router);
        // On failure, repeated and logged for the first process that needs it.
        let _ = make_temporary(&sockets.temporary);
        Ok(sockets)
    }

    /// Opens parent directories that exist.
    pub(super) fn open(parent: &OwnedFd, path: &Path, name: &str, router: Option<Gid>) -> io::Result<Self> {
        Ok(Self::at(path, name, open_directory(parent, name)?, router))
    }

    fn at(path: &Path, name: &str, directory: OwnedFd, router: Option<Gid>) -> Self {
        let temporary = temporary(path);
        Self { temporary, path: path.join(name), directory, router, sweeps: RefCell::default() }
    }

    /// Creates the directory of a process that runs as `user`. Returns the path at which it has to listen.
    pub(super) fn add(&self, process: ProcessId, user: Uid) -> io::Result<PathBuf> {
        let name = process.0.to_string();
        let made = make_temporary(&self.temporary).and_then(|top| make_directory(&top, &name, 0o700));
        let (path, made) = match made {
            Ok(made) => (&self.temporary, made),
            Err(why) => {
                tracing::info!(
                    "cannot use {} for sockets of apps, using {}: {why}",
                    self.temporary.display(),
                    self.path.display()
                );
                (&self.path, make_directory(&self.directory, &name, 0o700)?)
            }
        };
        if let Some(router) = self.router {
            unistd::fchown(&made, Some(user), Some(router))?;
            // Files created in it have the router's group, which may search it.
            stat::fchmod(&made, Mode::from_bits_truncate(0o2710))?;
        }
        Ok(path.join(name).join(SOCKET))
    }

    /// Lets the router connect to the socket of a process if `user` has opened one there: most programs create a socket
    /// that only their own user can connect to.
    pub(super) fn admit_router(&self, process: ProcessId, user: Uid) -> io::Result<()> {
        let (_, directory) = self.find(process)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let socket = fcntl::openat(&directory, SOCKET, flags, Mode::empty())?;
        let found = stat::fstat(&socket)?;
        let is_socket = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK;
        if !is_socket || found.st_uid != user.as_raw() {
            return Err(io::Error::other("the file is not the app's socket"));
        }
        // By descriptor: this is the socket that was checked, whatever is at its path now.
        let itself = format!("/proc/self/fd/{}", socket.as_raw_fd());
        let mode = Mode::from_bits_truncate(0o660);
        Ok(stat::fchmodat(AT_FDCWD, itself.as_str(), mode, FchmodatFlags::FollowSymlink)?)
    }

    /// Starts to remove the directory of a process that has ended, if it had one.
    pub(super) fn remove(&self, process: ProcessId) -> io::Result<()> {
        self.sweeps.borrow_mut().retain(|sweep| matches!(sweep.try_reap(), Ok(None)));
        let parent = match self.find(process) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?.0,
        };
        let sweep = remove(&parent, &process.0.to_string(), None)?;
        self.sweeps.borrow_mut().extend(sweep);
        Ok(())
    }

    /// Returns the parent directory and the directory of a process.
    fn find(&self, process: ProcessId) -> io::Result<(OwnedFd, OwnedFd)> {
        let name = process.0.to_string();
        // A directory that another user has created contains nothing of this daemon.
        if let Ok(top) = open_temporary(&self.temporary) {
            match open_directory(&top, &name) {
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                found => return Ok((top, found?)),
            }
        }
        Ok((self.directory.try_clone()?, open_directory(&self.directory, &name)?))
    }

    /// Waits a limited time for removals in progress.
    pub(super) fn settle(&self) {
        let until = Instant::now() + TIMEOUT;
        self.sweeps.borrow_mut().drain(..).for_each(|sweep| sweep.reap_until(until));
    }
}

/// Returns the parent directory below [`TEMPORARY`] for the instance directory at `path`.
fn temporary(path: &Path) -> PathBuf {
    let entry = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    Path::new(TEMPORARY).join(format!("{entry}.sockets"))
}

/// Opens the directory, or creates it first.
fn make_temporary(path: &Path) -> io::Result<OwnedFd> {
    match open_temporary(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let parent = open_directory(AT_FDCWD, TEMPORARY)?;
    check_safe(&stat::fstat(&parent)?, unistd::geteuid()).map_err(io::Error::other)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Everyone may search it; the directories inside have their own modes.
    make_directory(&parent, name, 0o711)
}

/// Opens the directory unless another user has created it after a clean-up program had removed the daemon's.
fn open_temporary(path: &Path) -> io::Result<OwnedFd> {
    let opened = open_directory(AT_FDCWD, path.to_str().unwrap_or_default())?;
    let status = stat::fstat(&opened)?;
    let ours = status.st_uid == unistd::geteuid().as_raw() && status.st_mode & 0o022 == 0;
    if ours { Ok(opened) } else { Err(io::Error::other("another user has created it")) }
}

/// Removes all directories. `parent` is the instance directory, whose path is `path`.
pub(super) fn remove_all(parent: &OwnedFd, path: &Path, name: &str) -> io::Result<()> {
    let until = Instant::now() + TIMEOUT;
    let temporary = temporary(path);
    if let Ok(top) = open_temporary(&temporary) {
        remove_inside(&top, until, Some(&temporary))?;
        remove_if_empty(&temporary);
    }
    let directory = match open_directory(parent, name) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    remove_inside(&directory, until, None)?;
    Ok(unistd::unlinkat(parent, name, UnlinkatFlags::RemoveDir)?)
}

/// Removes the directory, unless a removal still in progress does so at its end.
fn remove_if_empty(temporary: &Path) {
    match std::fs::remove_dir(temporary) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove {} yet: {why}", temporary.display());
        }
        _ => {}
    }
}

/// Removes the directories inside. A removal that takes longer also removes `top` at its end, if it is empty then.
fn remove_inside(directory: &OwnedFd, until: Instant, top: Option<&Path>) -> io::Result<()> {
    let mut sweeps = Vec::new();
    for entry in names_in(directory)? {
        sweeps.extend(remove(directory, &entry, top)?);
    }
    sweeps.iter().for_each(|sweep| sweep.reap_until(until));
    Ok(())
}

/// Removes a directory that contains only its socket, or starts a process that removes it.
fn remove(parent: &OwnedFd, name: &str, top: Option<&Path>) -> io::Result<Option<Child>> {
    // Most programs leave it. If it is missing or another kind of file, the process handles that.
    let _ = unistd::unlinkat(&open_directory(parent, name)?, SOCKET, UnlinkatFlags::NoRemoveDir);
    match unistd::unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
        Err(why) => return Err(why.into()),
    }
    sweep::start(parent, name, top).map(Some)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn sockets(name: &str) -> (PathBuf, OwnedFd, OwnSockets) {
        let path = std::env::temp_dir().join(format!("fp-own-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let parent = open_directory(AT_FDCWD, path.to_str().unwrap()).unwrap();
        let sockets = OwnSockets::make(&parent, &path, "sockets", Some(Gid::effective())).unwrap();
        (path, parent, sockets)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_socket_is_open_to_the_router_and_removed_with_its_process() {
        let (path, parent, sockets) = sockets("opened");
        let socket = sockets.add(ProcessId(7), Uid::effective()).unwrap();
        assert_eq!(mode(socket.parent().unwrap()), 0o2710);
        assert!(sockets.admit_router(ProcessId(7), Uid::effective()).is_err(), "nobody listens yet");
        let _listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o700)).unwrap();
        sockets.admit_router(ProcessId(7), Uid::effective()).unwrap();
        assert_eq!(mode(&socket), 0o660);
        std::fs::remove_file(&socket).unwrap();
        sockets.remove(ProcessId(7)).unwrap();
        assert!(!socket.parent().unwrap().exists());
        sockets.remove(ProcessId(7)).unwrap();
        remove_all(&parent, &path, "sockets").unwrap();
        std::fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn a_file_that_replaces_an_apps_socket_is_not_changed() {
        let (path, parent, sockets) = sockets("links");
        let victim = path.join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
        let socket = sockets.add(ProcessId(1), Uid::effective()).unwrap();
        std::os::unix::fs::symlink(&victim, &socket).unwrap();
        assert!(sockets.admit_router(ProcessId(1), Uid::effective()).is_err());
        std::fs::remove_file(&socket).unwrap();
        std::fs::hard_link(&victim, &socket).unwrap();
        assert!(sockets.admit_router(ProcessId(1), Uid::effective()).is_err());
        let other_user = Uid::from_raw(Uid::effective().as_raw() + 1);
        std::fs::remove_file(&socket).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(sockets.admit_router(ProcessId(1), other_user).is_err(), "another user's socket");
        std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
        remove_all(&parent, &path, "sockets").unwrap();
        assert_eq!((mode(&victim), std::fs::read_to_string(&victim).unwrap()), (0o600, "precious".into()));
        std::fs::remove_dir_all(&path).unwrap();
    }
}
