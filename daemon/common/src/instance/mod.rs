//! The instance directory, by which the tools find a running daemon and the router connects to app processes.
//!
//! ```text
//! <registry>/passenger.XXXXXXX/   0755, the daemon's user
//!     lock              locked as long as the daemon lives
//!     properties.json   shown by the tools
//!     starts.json       the conditions under which apps are started, for passenger-config exec
//!     upgrade.json      0600: the result of the last upgrade, for passenger-config upgrade-daemon
//!     admin.sock        0666: the router gets the peer's user from the kernel and checks its permissions
//!     apps/             0710 with the router's group, which connects to the sockets inside and can neither create nor
//!                       remove one; 0700 if all processes run as one user
//!     sockets/          0711: used instead of the following directory if /tmp cannot be used
//! /tmp/passenger.XXXXXXX.sockets/   0711: contains a directory for each process that opens its socket itself,
//!                       accessible only to its user and the router
//! ```
//!
//! All files are accessed through descriptors of directories that only the daemon's user can change, except those below
//! the two directories of sockets. Nothing is changed by path afterwards, and no symbolic link is followed.

mod directory;
mod own_sockets;
mod registry;
mod sweep;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, Flock, FlockArg};
use nix::sys::stat::{self, Mode};
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};
use serde::{Deserialize, Serialize};

use crate::config::MAX_SOCKET_PATH;
use crate::link::ProcessId;
use crate::sys::fd_handover::{HandoverReader, HandoverWriter};
use crate::sys::unix_socket;
use directory::{make_directory, new_file, open_directory};
use own_sockets::OwnSockets;

pub use registry::{Found, InstanceError, check_registry, list};

/// What the tools say about a list of apps that is not complete.
pub const OWN_APPS_ONLY: &str = "only the apps that run as this user; root (sudo) and members of the group of \
--status-group see all";

/// The letters of random names.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The beginning of every instance directory's name.
pub(super) const PREFIX: &str = "passenger.";
const LOCK: &str = "lock";
const PROPERTIES: &str = "properties.json";
/// New properties are written to this file, which then replaces the old one.
const NEW_PROPERTIES: &str = "properties.new";
const ADMIN_SOCKET: &str = "admin.sock";
const APPS: &str = "apps";
const SOCKETS: &str = "sockets";
/// Backlog for one app process. The router opens few connections; this is for a process that is slow to accept.
const APP_BACKLOG: i32 = 1024;
const ADMIN_BACKLOG: i32 = 64;
/// Length of the longest path inside: a socket that an app opens itself, of the process with the longest ID.
const LONGEST_INSIDE: usize = "/passenger.XXXXXXX/sockets//socket".len() + 20;

/// The mode of files for the tools of every user.
pub const EVERYBODY_READS: Mode = Mode::from_bits_truncate(0o644);
/// The mode of files for root and the daemon's user.
pub const OWNER_READS: Mode = Mode::from_bits_truncate(0o600);

/// The properties of an instance that the tools read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// The instance's name, generated at each start.
    pub name: String,
    /// The supervisor's process ID.
    pub pid: u32,
    /// The socket for nginx.
    pub socket_file: PathBuf,
    /// The daemon's release.
    pub version: String,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: u64,
}

/// The instance directory of this daemon. Dropping it releases the lock; [`Instance::remove`] removes it.
#[derive(Debug)]
pub struct Instance {
    registry: OwnedFd,
    entry: String,
    path: PathBuf,
    directory: OwnedFd,
    properties: Properties,
    own_sockets: OwnSockets,
    lock: Flock<File>,
}

/// The state of the instance that is handed to the next program.
#[derive(Debug, Serialize, Deserialize)]
pub struct PackedInstance {
    registry: PathBuf,
    entry: String,
    properties: Properties,
    lock: RawFd,
}

impl Instance {
    /// Creates the directory in `registry` with its lock and properties, after removing those of dead daemons. `router`
    /// is the router's group, if it is not the daemon's own.
    pub fn create(registry: &Path, socket_file: &Path, router: Option<Gid>) -> Result<Self, InstanceError> {
        if registry.as_os_str().len() + LONGEST_INSIDE > MAX_SOCKET_PATH {
            return Err(InstanceError::TooLong(registry.to_path_buf()));
        }
        let registry_fd = registry::open(registry)?;
        registry::remove_stale(&registry_fd, registry);
        let fail = |why| InstanceError::Make(registry.to_path_buf(), why);
        let entry = format!("{PREFIX}{}", random_name(7).map_err(fail)?);
        let directory = make_directory(&registry_fd, &entry, 0o755).map_err(fail)?;
        let lock = lock(&directory).map_err(fail)?;
        let properties = Properties {
            name: random_name(8).map_err(fail)?,
            pid: std::process::id(),
            socket_file: socket_file.to_path_buf(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: crate::sys::clock::now_ms(),
        };
        write_properties(&directory, PROPERTIES, &properties).map_err(fail)?;
        let path = registry.join(&entry);
        let own_sockets = OwnSockets::make(&directory, &path, SOCKETS, router).map_err(fail)?;
        Ok(Self { registry: registry_fd, entry, path, directory, properties, own_sockets, lock })
    }

    /// Packs it for the next program.
    pub fn pack(&self, writer: &mut HandoverWriter) -> io::Result<PackedInstance> {
        Ok(PackedInstance {
            registry: self.path.parent().unwrap_or(&self.path).to_path_buf(),
            entry: self.entry.clone(),
            properties: self.properties.clone(),
            lock: writer.pack(&*self.lock)?,
        })
    }

    /// Unpacks that of the previous program. `router` is the router's group, if it is not the daemon's own.
    pub fn unpack(
        packed: PackedInstance,
        reader: &mut HandoverReader,
        router: Option<Gid>,
    ) -> io::Result<Self> {
        let PackedInstance { registry, entry, mut properties, lock } = packed;
        let lock = reader.take_lock(lock)?;
        let registry_fd = registry::open(&registry).map_err(io::Error::other)?;
        let directory = open_directory(&registry_fd, &entry)?;
        properties.version = env!("CARGO_PKG_VERSION").to_owned();
        write_properties(&directory, NEW_PROPERTIES, &properties)?;
        fcntl::renameat(&directory, NEW_PROPERTIES, &directory, PROPERTIES)?;
        let path = registry.join(&entry);
        share_apps(&open_directory(&directory, APPS)?, router)?;
        let own_sockets = OwnSockets::open(&directory, &path, SOCKETS, router)?;
        Ok(Self { registry: registry_fd, entry, path, directory, properties, own_sockets, lock })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.properties.name
    }

    /// Returns the path of its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of this mode in place of one of the same name.
    pub fn publish(&self, name: &str, mode: Mode, text: &[u8]) -> io::Result<()> {
        let new = format!("{name}.new");
        // It exists if an earlier call failed.
        let _ = unistd::unlinkat(&self.directory, new.as_str(), UnlinkatFlags::NoRemoveDir);
        write_file(&self.directory, &new, mode, text)?;
        fcntl::renameat(&self.directory, new.as_str(), &self.directory, name)?;
        Ok(())
    }

    /// Creates the directory for the apps' sockets, which the router's group can search.
    pub fn make_apps(&self, router: Option<Gid>) -> io::Result<()> {
        let apps = make_directory(&self.directory, APPS, 0o700)?;
        share_apps(&apps, router)
    }

    /// Opens the socket for the tools.
    pub fn listen_for_tools(&self) -> io::Result<OwnedFd> {
        unix_socket::listen(&self.path.join(ADMIN_SOCKET), 0o666, ADMIN_BACKLOG)
    }

    /// Opens the listening socket of one app process. Its mode lets everyone connect who can search the directory,
    /// which is the router only, so the owner of no file is changed by path.
    pub fn listen_for_app(&self, process: ProcessId) -> io::Result<(PathBuf, OwnedFd)> {
        let path = self.app_socket(process);
        let named = |why| io::Error::other(format!("{}: {why}", path.display()));
        let socket = unix_socket::listen(&path, 0o666, APP_BACKLOG).map_err(named)?;
        Ok((path, socket))
    }

    /// Creates a directory in which an app process that runs as `user` can open a socket itself.
    pub fn make_place_for_socket(&self, process: ProcessId, user: Uid) -> io::Result<PathBuf> {
        self.own_sockets.add(process, user)
    }

    /// Lets the router connect to the socket that an app process has opened itself as `user`.
    pub fn admit_router(&self, process: ProcessId, user: Uid) -> io::Result<()> {
        self.own_sockets.admit_router(process, user)
    }

    /// Removes the socket of an app process that has ended.
    pub fn remove_app_socket(&self, process: ProcessId) -> io::Result<()> {
        self.own_sockets.remove(process)?;
        let name = format!("{APPS}/{}", process.0);
        match unistd::unlinkat(&self.directory, name.as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(why) => Err(why.into()),
        }
    }

    /// Removes the directory.
    pub fn remove(self) -> io::Result<()> {
        self.own_sockets.settle();
        registry::remove_entry(&self.registry, &self.path, &self.entry)
    }

    fn app_socket(&self, process: ProcessId) -> PathBuf {
        self.path.join(APPS).join(process.0.to_string())
    }
}

/// Returns a random name that cannot be guessed and that no two instances share.
fn random_name(len: usize) -> io::Result<String> {
    let mut name = String::new();
    while name.len() < len {
        let mut byte = [0];
        getrandom::fill(&mut byte)?;
        // Bytes beyond the last letter are skipped, so that all letters are equally likely.
        if let Some(letter) = LETTERS.get(usize::from(byte[0] & 0x3f)) {
            name.push(char::from(*letter));
        }
    }
    Ok(name)
}

/// Lets the router's group search the directory, which belongs to the daemon's user. A descriptor always refers to the
/// directory that was created, whatever is at the path.
fn share_apps(apps: &OwnedFd, router: Option<Gid>) -> io::Result<()> {
    if let Some(gid) = router {
        unistd::fchown(apps, Some(unistd::geteuid()), Some(gid))?;
        stat::fchmod(apps, Mode::from_bits_truncate(0o710))?;
    }
    Ok(())
}

fn lock(directory: &OwnedFd) -> io::Result<Flock<File>> {
    let file = new_file(directory, LOCK, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| why)?;
    // The tools of every user may test the lock; before this, no other process could have taken it first.
    stat::fchmod(&*lock, Mode::from_bits_truncate(0o644))?;
    Ok(lock)
}

fn write_properties(directory: &OwnedFd, name: &str, properties: &Properties) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(properties)?;
    text.push(b'\n');
    write_file(directory, name, EVERYBODY_READS, &text)
}

fn write_file(directory: &OwnedFd, name: &str, mode: Mode, text: &[u8]) -> io::Result<()> {
    let mut file = new_file(directory, name, Mode::S_IRUSR | Mode::S_IWUSR)?;
    file.write_all(text)?;
    // Whatever the umask is, and only when the file is complete.
    stat::fchmod(&file, mode)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn registry(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("fp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn names_have_their_length_and_differ() {
        let (one, other) = (random_name(8).unwrap(), random_name(8).unwrap());
        assert_eq!(one.len(), 8);
        assert_ne!(one, other);
    }

    #[test]
    fn a_live_instance_is_listed_and_a_removed_one_is_not() {
        let registry = registry("listed");
        let instance = Instance::create(&registry, Path::new("/run/x"), None).unwrap();
        instance.make_apps(None).unwrap();
        instance.listen_for_tools().unwrap();
        let (socket, _listening) = instance.listen_for_app(ProcessId(7)).unwrap();

        let found = list(&registry).unwrap();
        assert_eq!(found[0].properties.name, instance.name());
        assert_eq!(found[0].properties.socket_file, Path::new("/run/x"));
        assert!(found[0].admin_socket().exists());
        let apps = socket.parent().unwrap();
        assert_eq!(std::fs::metadata(apps).unwrap().permissions().mode() & 0o777, 0o700);

        instance.remove().unwrap();
        assert_eq!(list(&registry).unwrap(), []);
        std::fs::remove_dir(&registry).unwrap();
    }

    #[test]
    fn a_dead_instance_is_not_listed() {
        let registry = registry("dead");
        let instance = Instance::create(&registry, Path::new("/run/x"), None).unwrap();
        let path = instance.path().to_path_buf();
        drop(instance);
        assert!(path.exists());
        assert_eq!(list(&registry).unwrap(), []);
        std::fs::remove_dir_all(&registry).unwrap();
    }

    #[test]
    fn rejects_a_registry_that_others_can_change() {
        let registry = registry("open");
        std::fs::set_permissions(&registry, std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Instance::create(&registry, Path::new("/run/x"), None).unwrap_err();
        assert!(matches!(refused, InstanceError::Unsafe(..)), "{refused}");
        std::fs::remove_dir(&registry).unwrap();
    }

    #[test]
    fn rejects_a_registry_that_is_a_symlink() {
        let real = registry("real");
        let link = real.with_extension("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let refused = Instance::create(&link, Path::new("/run/x"), None).unwrap_err();
        assert!(matches!(refused, InstanceError::Registry(..)), "{refused}");
        std::fs::remove_file(&link).unwrap();
        std::fs::remove_dir(&real).unwrap();
    }

    #[test]
    fn rejects_a_registry_too_long_for_sockets() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(70)));
        let refused = Instance::create(&long, Path::new("/run/x"), None).unwrap_err();
        assert!(matches!(refused, InstanceError::TooLong(_)), "{refused}");
    }
}
