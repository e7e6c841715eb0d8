//! The socket that nginx connects to: created without taking it from a running daemon, created again when it is
//! removed, and removed only if it is still this daemon's.
//!
//! A lock file beside it arbitrates between two daemons. Owner and mode are changed on the inode that was created,
//! never by path.

mod directory;
mod error;
pub(crate) mod guard;
mod watch;

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{self, AtFlags, Flock, FlockArg, OFlag};
use nix::sys::stat::{self, Mode, SFlag};
use nix::unistd;
use serde::{Deserialize, Serialize};

pub(super) use self::directory::warnings;
pub(super) use self::error::SocketError;
use self::error::step;
use self::watch::Watch;
use common::config::SocketOptions;
use common::sys::activation;
use common::sys::fd_handover::{HandoverReader, HandoverWriter};
use common::sys::unix_socket::{self, Listener};

/// The kernel's limit of the backlog.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// The listening socket. It stays open across routers.
#[derive(Debug)]
pub(super) struct NginxSocket {
    listening: OwnedFd,
    path: PathBuf,
    inode: Inode,
    backlog: u64,
    /// The lock, unless a service manager created the socket; with a lock the socket is removed at the end.
    made: Option<Made>,
    watch: Watch,
}

#[derive(Debug)]
struct Made {
    lock_path: PathBuf,
    lock: Flock<File>,
}

/// The state of the socket that is handed to the next program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedSocket {
    listening: RawFd,
    path: PathBuf,
    inode: Inode,
    backlog: u64,
    /// The lock and its path, unless a service manager created the socket.
    made: Option<(RawFd, PathBuf)>,
}

/// What is at the socket's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The socket.
    Ours,
    /// Nothing or another file: nginx does not find the socket.
    NotOurs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Inode {
    device: u64,
    number: u64,
}

impl NginxSocket {
    /// Opens the socket, after removing one without a listener. `backlog` connections may wait to be accepted.
    pub(super) fn open(options: &SocketOptions, backlog: u64) -> Result<Self, SocketError> {
        let path = &options.path;
        let lock_path = lock_path_of(path);
        let lock = lock(&lock_path, path)?;
        let (listening, inode) = make(options, backlog)?;
        let made = Some(Made { lock_path, lock });
        Ok(Self { listening, path: path.clone(), inode, backlog, made, watch: Watch::on(path) })
    }

    /// Takes the service manager's socket that listens at `path`; it outlives this daemon.
    pub(super) fn handed_over(sockets: Vec<OwnedFd>, path: &Path, backlog: u64) -> Result<Self, SocketError> {
        let mut others = Vec::new();
        for listening in sockets {
            match activation::listening_path(&listening) {
                Some(found) if found == path => {
                    unix_socket::set_backlog(&listening, capped(backlog))
                        .map_err(step("listened on", path))?;
                    let inode = Inode::from(&fs::symlink_metadata(path).map_err(step("checked", path))?);
                    let path = path.to_path_buf();
                    let watch = Watch::on(&path);
                    return Ok(Self { listening, path, inode, backlog, made: None, watch });
                }
                found => others.push(found.unwrap_or_else(|| "(no unix socket that listens)".into())),
            }
        }
        Err(SocketError::Other(path.to_path_buf(), others))
    }

    /// Packs it for the next program.
    pub(super) fn pack(&self, writer: &mut HandoverWriter) -> io::Result<PackedSocket> {
        let made = self.made.as_ref();
        let made = made.map(|made| Ok::<_, io::Error>((writer.pack(&*made.lock)?, made.lock_path.clone())));
        Ok(PackedSocket {
            made: made.transpose()?,
            listening: writer.pack(&self.listening)?,
            path: self.path.clone(),
            inode: self.inode,
            backlog: self.backlog,
        })
    }

    /// Unpacks that of the previous program.
    pub(super) fn unpack(packed: PackedSocket, reader: &mut HandoverReader) -> io::Result<Self> {
        let PackedSocket { listening, path, inode, backlog, made } = packed;
        let made = made
            .map(|(lock, lock_path)| Ok::<_, io::Error>(Made { lock_path, lock: reader.take_lock(lock)? }));
        let made = made.transpose()?;
        let watch = Watch::on(&path);
        Ok(Self { listening: reader.take(listening)?, path, inode, backlog, made, watch })
    }

    /// Whether a service manager created it.
    pub(super) fn is_handed_over(&self) -> bool {
        self.made.is_none()
    }

    /// Changes the maximum number of waiting connections.
    pub(super) fn set_backlog(&mut self, wanted: u64) -> io::Result<()> {
        if wanted != self.backlog {
            unix_socket::set_backlog(&self.listening, capped(wanted))?;
            self.backlog = wanted;
        }
        Ok(())
    }

    /// The descriptor that becomes readable when the socket's file changes; `None` where it cannot be watched.
    pub(super) fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.watch.fd()
    }

    /// Returns what is at its path, and discards the events so far.
    pub(super) fn look(&self) -> Found {
        self.watch.forget();
        match fs::symlink_metadata(&self.path) {
            Ok(found) if Inode::from(&found) == self.inode => Found::Ours,
            _ => Found::NotOurs,
        }
    }

    /// Creates the socket again at the same path. Connections waiting in the old one stay there.
    pub(super) fn recreate(&mut self, options: &SocketOptions) -> Result<(), SocketError> {
        let Some(made) = &mut self.made else {
            return Err(SocketError::OfServiceManager(self.path.clone()));
        };
        if !is_at(&made.lock, &made.lock_path)? {
            made.lock = lock(&made.lock_path, &self.path)?;
        }
        (self.listening, self.inode) = make(options, self.backlog)?;
        self.watch = Watch::on(&self.path);
        Ok(())
    }

    /// Removes the socket if it is still the one that was created, and then the lock.
    pub(super) fn remove(self) {
        if self.made.is_some() && self.look() == Found::NotOurs {
            tracing::warn!("not removing {}, which is no longer this daemon's socket", self.path.display());
            return;
        }
        let Some(made) = self.made else {
            return;
        };
        for path in [&self.path, &made.lock_path] {
            if let Err(why) = fs::remove_file(path) {
                tracing::warn!("{} cannot be removed: {why}", path.display());
            }
        }
    }
}

impl From<&Metadata> for Inode {
    fn from(found: &Metadata) -> Self {
        Self { device: found.dev(), number: found.ino() }
    }
}

impl AsFd for NginxSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listening.as_fd()
    }
}

/// Returns the backlog for the kernel, and warns if the kernel reduces it to its own limit.
fn capped(wanted: u64) -> i32 {
    let limit = fs::read_to_string(SOMAXCONN).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(limit) = limit.filter(|limit| *limit < wanted) {
        tracing::warn!(
            "the backlog of the socket for nginx is {limit}, not {wanted}: net.core.somaxconn allows no more"
        );
    }
    i32::try_from(wanted).unwrap_or(i32::MAX)
}

fn lock_path_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Creates the socket, with its owner and mode.
fn make(options: &SocketOptions, backlog: u64) -> Result<(OwnedFd, Inode), SocketError> {
    let path = &options.path;
    remove_dead_socket(path)?;
    let listening = unix_socket::listen(path, 0o600, capped(backlog)).map_err(step("opened", path))?;
    let inode = open_to_nginx(options)?;
    Ok((listening, inode))
}

/// Takes the lock file that is at the path after locking: the previous daemon removes its lock file when it ends.
fn lock(lock_path: &Path, path: &Path) -> Result<Flock<File>, SocketError> {
    loop {
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(lock_path).map_err(step("locked", path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| held(lock_path, path))?;
        if is_at(&lock, lock_path)? {
            return Ok(lock);
        }
    }
}

fn is_at(file: &File, path: &Path) -> Result<bool, SocketError> {
    let mine = Inode::from(&file.metadata().map_err(step("checked", path))?);
    Ok(fs::symlink_metadata(path).is_ok_and(|found| Inode::from(&found) == mine))
}

fn held(lock_path: &Path, path: &Path) -> SocketError {
    match unix_socket::probe(path) {
        Ok(Listener::Live(pid)) => SocketError::Live(path.to_path_buf(), pid),
        _ => SocketError::Locked(lock_path.to_path_buf()),
    }
}

/// Removes a socket without a listener, and nothing else.
fn remove_dead_socket(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(step("checked", path)(why)),
        Ok(found) if !is_socket(found.mode()) => return Err(SocketError::NotASocket(path.to_path_buf())),
        Ok(_) => {}
    }
    match unix_socket::probe(path).map_err(step("probed", path))? {
        Listener::Absent => Ok(()),
        Listener::Live(pid) => Err(SocketError::Live(path.to_path_buf(), pid)),
        Listener::Dead => {
            fs::remove_file(path).map_err(step("removed", path))?;
            tracing::info!("removed {}, on which no process listened", path.display());
            Ok(())
        }
    }
}

/// Sets owner and mode of the socket by a descriptor of the inode: a symbolic link that replaced it is detected and not
/// followed.
fn open_to_nginx(options: &SocketOptions) -> Result<Inode, SocketError> {
    let path = &options.path;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = fcntl::open(path, flags, Mode::empty()).map_err(|why| step("checked", path)(why.into()))?;
    let found = stat::fstat(&made).map_err(|why| step("checked", path)(why.into()))?;
    if !is_socket(found.st_mode) || found.st_uid != unistd::geteuid().as_raw() || found.st_nlink != 1 {
        return Err(SocketError::Replaced(path.clone()));
    }
    unistd::fchownat(&made, "", options.owner, options.group, AtFlags::AT_EMPTY_PATH)
        .map_err(|why| step("given to its owner", path)(why.into()))?;
    let handle = format!("/proc/self/fd/{}", made.as_raw_fd());
    fs::set_permissions(handle, Permissions::from_mode(options.mode))
        .map_err(step("given its mode", path))?;
    Ok(Inode { device: found.st_dev, number: found.st_ino })
}

fn is_socket(mode: u32) -> bool {
    SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn options(name: &str) -> SocketOptions {
        let dir = std::env::temp_dir().join(format!("fp-socket-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("socket");
        SocketOptions { path, mode: 0o660, owner: None, group: None, closed_to_nginx: false }
    }

    fn clean(options: &SocketOptions) {
        fs::remove_dir_all(options.path.parent().unwrap()).unwrap();
    }

    #[test]
    fn leaves_nothing_behind() {
        let options = options("orderly");
        let socket = NginxSocket::open(&options, 16).unwrap();
        let mode = fs::metadata(&options.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        UnixStream::connect(&options.path).unwrap();
        socket.remove();
        assert_eq!(fs::read_dir(options.path.parent().unwrap()).unwrap().count(), 0);
        clean(&options);
    }

    #[test]
    fn refuses_a_live_socket_and_names_its_owner() {
        let options = options("live");
        let _other = UnixListener::bind(&options.path).unwrap();
        let refused = NginxSocket::open(&options, 16).unwrap_err();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(refused, SocketError::Live(_, Some(found)) if found == pid), "{refused}");
        clean(&options);
    }

    #[test]
    fn the_first_of_two_daemons_keeps_the_socket() {
        let options = options("two");
        let first = NginxSocket::open(&options, 16).unwrap();
        let refused = NginxSocket::open(&options, 16).unwrap_err();
        assert!(matches!(refused, SocketError::Live(..)), "{refused}");
        first.remove();
        NginxSocket::open(&options, 16).unwrap().remove();
        clean(&options);
    }

    #[test]
    fn replaces_a_dead_socket_and_nothing_else() {
        let options = options("stale");
        drop(UnixListener::bind(&options.path).unwrap());
        NginxSocket::open(&options, 16).unwrap().remove();
        fs::write(&options.path, "precious").unwrap();
        assert!(matches!(NginxSocket::open(&options, 16), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&options.path).unwrap(), "precious");
        clean(&options);
    }

    #[test]
    fn does_not_remove_the_socket_of_its_successor() {
        let options = options("successor");
        let socket = NginxSocket::open(&options, 16).unwrap();
        fs::remove_file(&options.path).unwrap();
        let _successor = UnixListener::bind(&options.path).unwrap();
        socket.remove();
        UnixStream::connect(&options.path).unwrap();
        clean(&options);
    }

    #[test]
    fn is_created_again_when_removed_with_or_without_its_lock() {
        let options = options("recreated");
        let mut socket = NginxSocket::open(&options, 16).unwrap();
        for removed in [vec!["socket"], vec!["socket", "socket.lock"]] {
            assert_eq!(socket.look(), Found::Ours);
            for name in removed {
                fs::remove_file(options.path.with_file_name(name)).unwrap();
            }
            assert_eq!(socket.look(), Found::NotOurs);
            socket.recreate(&options).unwrap();
            UnixStream::connect(&options.path).unwrap();
        }
        socket.remove();
        assert_eq!(fs::read_dir(options.path.parent().unwrap()).unwrap().count(), 0);
        clean(&options);
    }

    #[test]
    fn does_not_replace_a_live_socket() {
        let options = options("usurped");
        let mut socket = NginxSocket::open(&options, 16).unwrap();
        fs::remove_file(&options.path).unwrap();
        let _other = UnixListener::bind(&options.path).unwrap();
        assert!(matches!(socket.recreate(&options), Err(SocketError::Live(..))));
        clean(&options);
    }

    #[test]
    fn names_a_missing_directory() {
        let mut options = options("missing");
        clean(&options);
        options.path = options.path.join("deeper");
        assert!(matches!(NginxSocket::open(&options, 16), Err(SocketError::NoDirectory(_))));
    }
}
