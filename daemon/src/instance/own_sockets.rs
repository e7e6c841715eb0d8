//! Directories in which app processes open their own sockets: made for one process, entered by it and the router alone.
//!
//! What lies in such a directory is the app's doing: it is reached by descriptor, never followed, and looked at before
//! it is touched.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, AT_FDCWD, OFlag};
use nix::sys::stat::{self, FchmodatFlags, Mode, SFlag};
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

use super::directory::{make_directory, names_in, open_directory};
use crate::link::ProcessId;

/// The name of the socket in its directory.
const SOCKET: &str = "socket";

/// The directory of these directories.
#[derive(Debug)]
pub(super) struct OwnSockets {
    path: PathBuf,
    directory: OwnedFd,
    /// The router's group; `None` when every process has the daemon's user.
    router: Option<Gid>,
}

impl OwnSockets {
    /// `parent` is the instance directory, which lies at `path`.
    pub(super) fn make(parent: &OwnedFd, path: &Path, name: &str, router: Option<Gid>) -> io::Result<Self> {
        // Everybody may pass through; what is inside has its own mode.
        let directory = make_directory(parent, name, 0o711)?;
        Ok(Self { path: path.join(name), directory, router })
    }

    /// Those that were made before.
    pub(super) fn open(parent: &OwnedFd, path: &Path, name: &str, router: Option<Gid>) -> io::Result<Self> {
        Ok(Self { path: path.join(name), directory: open_directory(parent, name)?, router })
    }

    /// Makes the directory of a process that runs as `user`. Tells where it is to listen.
    pub(super) fn add(&self, process: ProcessId, user: Uid) -> io::Result<PathBuf> {
        let name = process.0.to_string();
        let made = make_directory(&self.directory, &name, 0o700)?;
        if let Some(router) = self.router {
            unistd::fchown(&made, Some(user), Some(router))?;
            // What is made in it has the router's group, which may pass through.
            stat::fchmod(&made, Mode::from_bits_truncate(0o2710))?;
        }
        Ok(self.path.join(name).join(SOCKET))
    }

    /// Lets the router connect to the socket of a process, when `user` has opened one there: most programs open
    /// theirs for their own user only.
    pub(super) fn admit_router(&self, process: ProcessId, user: Uid) -> io::Result<()> {
        let directory = open_directory(&self.directory, &process.0.to_string())?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let socket = fcntl::openat(&directory, SOCKET, flags, Mode::empty())?;
        let found = stat::fstat(&socket)?;
        let is_socket = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK;
        if !is_socket || found.st_uid != user.as_raw() {
            return Err(io::Error::other("what lies there is not the app's socket"));
        }
        // By descriptor: whatever has that name by now, this is the socket that was looked at.
        let itself = format!("/proc/self/fd/{}", socket.as_raw_fd());
        let mode = Mode::from_bits_truncate(0o660);
        Ok(stat::fchmodat(AT_FDCWD, itself.as_str(), mode, FchmodatFlags::FollowSymlink)?)
    }

    /// Removes the directory of a process that has ended, if it had one.
    pub(super) fn remove(&self, process: ProcessId) -> io::Result<()> {
        remove(&self.directory, &process.0.to_string())
    }
}

/// Removes all of them. Links are not followed, and nothing deeper is touched.
pub(super) fn remove_all(parent: &OwnedFd, name: &str) -> io::Result<()> {
    let directory = match open_directory(parent, name) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for entry in names_in(&directory)? {
        remove(&directory, &entry)?;
    }
    Ok(unistd::unlinkat(parent, name, UnlinkatFlags::RemoveDir)?)
}

fn remove(parent: &OwnedFd, name: &str) -> io::Result<()> {
    let directory = match open_directory(parent, name) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for entry in names_in(&directory)? {
        match unistd::unlinkat(&directory, entry.as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(unistd::unlinkat(parent, name, UnlinkatFlags::RemoveDir)?)
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
    fn a_socket_is_opened_to_the_router_and_goes_with_its_process() {
        let (path, parent, sockets) = sockets("opened");
        let socket = sockets.add(ProcessId(7), Uid::effective()).unwrap();
        assert_eq!(mode(socket.parent().unwrap()), 0o2710);
        assert!(sockets.admit_router(ProcessId(7), Uid::effective()).is_err(), "nobody listens yet");
        let _listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o700)).unwrap();
        sockets.admit_router(ProcessId(7), Uid::effective()).unwrap();
        assert_eq!(mode(&socket), 0o660);
        sockets.remove(ProcessId(7)).unwrap();
        assert!(!socket.parent().unwrap().exists());
        sockets.remove(ProcessId(7)).unwrap();
        remove_all(&parent, "sockets").unwrap();
        std::fs::remove_dir(&path).unwrap();
    }

    #[test]
    fn what_an_app_puts_in_the_place_of_its_socket_is_not_touched() {
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
        let stranger = Uid::from_raw(Uid::effective().as_raw() + 1);
        std::fs::remove_file(&socket).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(sockets.admit_router(ProcessId(1), stranger).is_err(), "somebody else's socket");
        std::os::unix::fs::symlink(&victim, socket.with_file_name("link")).unwrap();
        remove_all(&parent, "sockets").unwrap();
        assert_eq!((mode(&victim), std::fs::read_to_string(&victim).unwrap()), (0o600, "precious".into()));
        std::fs::remove_dir_all(&path).unwrap();
    }
}
