//! The registry, the directory of all instance directories: lists the live ones and removes the stale ones.
//!
//! A daemon is alive while its lock is held. Only directories of the daemon's own user are ever removed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, Flock, FlockArg, OFlag};
use nix::libc;
use nix::sys::stat::{self, Mode};
use nix::unistd::{self, Uid, UnlinkatFlags};

use super::directory::{check_safe, names_in, open_directory};
use super::{APPS, LOCK, PREFIX, PROPERTIES, Properties};

/// A directory this young may belong to a daemon that has not locked it yet.
const YOUNG: Duration = Duration::from_secs(60);
/// Properties and other files in an instance directory are shorter; a longer file is rejected.
const MAX_PROPERTIES: u64 = 64 * 1024;

/// Why there is no instance directory.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Sockets inside would have paths that are too long for the kernel.
    #[error("the registry path {0} is too long: choose a shorter one")]
    TooLong(PathBuf),
    /// The registry cannot be created or opened.
    #[error("the registry {0} cannot be used: {1}")]
    Registry(PathBuf, io::Error),
    /// Another user could change the contents of the registry.
    #[error("the registry {0} is not safe: {1}")]
    Unsafe(PathBuf, &'static str),
    /// The instance directory cannot be created.
    #[error("cannot create an instance directory in {0}: {1}")]
    Make(PathBuf, io::Error),
}

/// A registered instance that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its directory.
    pub path: PathBuf,
    /// Its properties.
    pub properties: Properties,
}

impl Found {
    /// Returns the path of the socket for the tools.
    pub fn admin_socket(&self) -> PathBuf {
        self.path.join(super::ADMIN_SOCKET)
    }

    /// Reads a file that the daemon has published; also returns the daemon's user. Directory and file belong to that
    /// user, and no other could have put the file there.
    pub fn read(&self, name: &str) -> io::Result<(Vec<u8>, Uid)> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = fcntl::open(&self.path, flags, Mode::empty())?;
        let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = fcntl::openat(&directory, name, flags, Mode::empty())?;
        let (around, found) = (stat::fstat(&directory)?, stat::fstat(&file)?);
        if around.st_uid != found.st_uid || around.st_mode & 0o022 != 0 {
            return Err(io::Error::other("other users can change it"));
        }
        let mut text = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(file), MAX_PROPERTIES), &mut text)?;
        Ok((text, Uid::from_raw(found.st_uid)))
    }
}

/// Returns the live instances in `registry`, sorted by name. Changes nothing.
pub fn list(registry: &Path) -> io::Result<Vec<Found>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let directory = match fcntl::open(registry, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found: Vec<Found> =
        entries(&directory)?.into_iter().filter_map(|entry| look_at(&directory, registry, &entry)).collect();
    found.sort_by(|one, other| one.properties.name.cmp(&other.properties.name));
    Ok(found)
}

/// Reads an entry; `None` if it is not a live instance or not readable for this user.
fn look_at(registry: &OwnedFd, path: &Path, entry: &str) -> Option<Found> {
    let directory = open_directory(registry.as_fd(), entry).ok()?;
    if !is_locked(&directory) {
        return None;
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = fcntl::openat(&directory, PROPERTIES, flags, Mode::empty()).ok()?;
    let text = io::Read::take(std::fs::File::from(file), MAX_PROPERTIES);
    let properties = serde_json::from_reader(text).ok()?;
    Some(Found { path: path.join(entry), properties })
}

/// Opens the registry for a daemon; creates it if it is missing.
pub(super) fn open(registry: &Path) -> Result<OwnedFd, InstanceError> {
    let fail = |why: io::Error| InstanceError::Registry(registry.to_path_buf(), why);
    let mode = if unistd::geteuid().is_root() { 0o755 } else { 0o700 };
    match unistd::mkdir(registry, Mode::from_bits_truncate(mode)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(why) => return Err(fail(why.into())),
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let directory = fcntl::open(registry, flags, Mode::empty()).map_err(|why| fail(why.into()))?;
    let status = stat::fstat(&directory).map_err(|why| fail(why.into()))?;
    check_safe(&status, unistd::geteuid())
        .map_err(|why| InstanceError::Unsafe(registry.to_path_buf(), why))?;
    Ok(directory)
}

/// Whether there is a registry, for a program that starts no daemon. A registry that a daemon would refuse is an error.
/// Changes nothing.
pub fn check_registry(registry: &Path) -> Result<bool, InstanceError> {
    let fail = |why: Errno| InstanceError::Registry(registry.to_path_buf(), why.into());
    let status = match stat::lstat(registry) {
        Ok(status) => status,
        Err(Errno::ENOENT) => return Ok(false),
        Err(why) => return Err(fail(why)),
    };
    if status.st_mode & libc::S_IFMT != libc::S_IFDIR {
        return Err(fail(Errno::ENOTDIR));
    }
    check_safe(&status, unistd::geteuid())
        .map_err(|why| InstanceError::Unsafe(registry.to_path_buf(), why))?;
    Ok(true)
}

/// Removes the directories of daemons that ended without doing so. Those that cannot be removed are logged and left.
pub(super) fn remove_stale(registry: &OwnedFd, path: &Path) {
    for entry in entries(registry).unwrap_or_default() {
        if !is_stale(registry, &entry) {
            continue;
        }
        let place = path.join(&entry);
        match remove_entry(registry, &place, &entry) {
            Ok(()) => tracing::info!("removed {}, left by a daemon that has ended", place.display()),
            Err(why) => {
                tracing::warn!("cannot remove {}, left by a daemon that has ended: {why}", place.display())
            }
        }
    }
}

fn is_stale(registry: &OwnedFd, entry: &str) -> bool {
    let Ok(status) = stat::fstatat(registry, entry, AtFlags::AT_SYMLINK_NOFOLLOW) else {
        return false;
    };
    let made = UNIX_EPOCH + Duration::from_secs(u64::try_from(status.st_ctime).unwrap_or(0));
    let age = SystemTime::now().duration_since(made).unwrap_or_default();
    status.st_uid == unistd::geteuid().as_raw()
        && age > YOUNG
        && open_directory(registry.as_fd(), entry).is_ok_and(|directory| !is_locked(&directory))
}

/// Whether a live daemon holds the lock. Errors are treated as held, so that nothing is removed by mistake.
fn is_locked(directory: &OwnedFd) -> bool {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    match fcntl::openat(directory, LOCK, flags, Mode::empty()) {
        // A shared lock, so that two checking processes do not mistake each other for the daemon.
        Ok(file) => Flock::lock(file, FlockArg::LockSharedNonblock).is_err(),
        Err(why) => why != Errno::ENOENT,
    }
}

/// Returns the names in the registry that are those of instances.
fn entries(registry: &OwnedFd) -> io::Result<Vec<String>> {
    Ok(names_in(registry)?.into_iter().filter(|name| name.starts_with(PREFIX)).collect())
}

/// Removes the instance directory at `path`: the files in it and in `apps`, and files of apps beside their sockets.
/// Symbolic links are not followed.
pub(super) fn remove_entry(registry: &OwnedFd, path: &Path, entry: &str) -> io::Result<()> {
    let directory = open_directory(registry.as_fd(), entry)?;
    match open_directory(directory.as_fd(), APPS) {
        Ok(apps) => {
            remove_files(&apps)?;
            unistd::unlinkat(&directory, APPS, UnlinkatFlags::RemoveDir)?;
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(why),
    }
    super::own_sockets::remove_all(&directory, path, super::SOCKETS)?;
    remove_files(&directory)?;
    unistd::unlinkat(registry, entry, UnlinkatFlags::RemoveDir)?;
    Ok(())
}

fn remove_files(directory: &OwnedFd) -> io::Result<()> {
    for name in names_in(directory)? {
        unistd::unlinkat(directory, name.as_str(), UnlinkatFlags::NoRemoveDir)?;
    }
    Ok(())
}
