//! The runtime directory of a running app, in the directory in which a daemon of this user is registered. `stop` and
//! `status` find the app by it; its lock is held as long as the app runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::Uid;
use protocol::settings::Digest;
use serde::{Deserialize, Serialize};

use common::config::{REGISTRY_VARIABLE, usual_registry};
use common::instance;

/// The beginning of the directories' names; the rest depends on the app's path.
const PREFIX: &str = "start-";
const LOCK: &str = "lock";
const STATE: &str = "state.json";
/// How often a directory that another process is removing is created again.
const ATTEMPTS: usize = 10;
/// The file is shorter.
const MAX_STATE: u64 = 64 * 1024;

/// An app that `passenger start` runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunningApp {
    /// The process ID of `passenger start`.
    pub(super) pid: i32,
    /// The app's directory.
    pub(super) root: PathBuf,
    /// Its address; empty until it accepts connections.
    pub(super) url: String,
    pub(super) port: u16,
    pub(super) environment: String,
    /// When it was started, in milliseconds since 1970.
    pub(super) started_ms: u64,
    /// The log file of an app in the background.
    pub(super) log_file: Option<PathBuf>,
}

/// The directory of this process. Dropping it removes it and releases the lock.
#[derive(Debug)]
pub(super) struct RuntimeDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl RuntimeDir {
    /// Creates the directory of an app; fails if the app runs already.
    pub(super) fn claim(root: &Path) -> Result<Self, String> {
        let registry = prepared_registry()?;
        let path = registry.join(name(root));
        for _ in 0..ATTEMPTS {
            match claim_once(&path) {
                Ok(Some(lock)) => {
                    // Of a process that was killed.
                    let _ = fs::remove_file(path.join(STATE));
                    return Ok(Self { path, _lock: lock });
                }
                Ok(None) => {}
                Err(err) if err.kind() == ErrorKind::WouldBlock => return Err(already_running(&path, root)),
                Err(err) => return Err(format!("cannot use {}: {err}", path.display())),
            }
        }
        Err(format!("cannot use {}: another process removes it", path.display()))
    }

    /// Returns the path of a file in the directory.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes what `stop` and `status` read.
    pub(super) fn publish(&self, app: &RunningApp) -> Result<(), String> {
        let new = self.join("state.new");
        let text = serde_json::to_string(app).map_err(|err| err.to_string())?;
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.join(STATE)))
            .map_err(|err| format!("cannot write {}: {err}", new.display()))
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        // The next start uses what is left.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Returns the lock of a new directory; `None` if another process has removed it meanwhile.
fn claim_once(path: &Path) -> io::Result<Option<Flock<File>>> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(err) if err.kind() != ErrorKind::AlreadyExists => return Err(err),
        _ => {}
    }
    let file = match OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path.join(LOCK))
    {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| io::Error::from(why))?;
    let is_same = |found: fs::Metadata| lock.metadata().is_ok_and(|own| own.ino() == found.ino());
    Ok(path.join(LOCK).metadata().is_ok_and(is_same).then_some(lock))
}

fn already_running(path: &Path, root: &Path) -> String {
    let root = root.display();
    match read(path) {
        Some(app) if app.url.is_empty() => format!("{root} is already being started by PID {}", app.pid),
        Some(app) => format!(
            "{root} already runs at {}, started by PID {}; stop it with: passenger stop {root}",
            app.url, app.pid
        ),
        None => format!("{root} is already being started by another process"),
    }
}

/// Returns the directory that contains the runtime directories.
pub(super) fn registry() -> PathBuf {
    std::env::var_os(REGISTRY_VARIABLE).map_or_else(|| usual_registry(Uid::effective()), PathBuf::from)
}

/// Creates it if it is missing; refuses it if another user could change it.
fn prepared_registry() -> Result<PathBuf, String> {
    let registry = registry();
    match fs::DirBuilder::new().mode(0o700).create(&registry) {
        Err(err) if err.kind() != ErrorKind::AlreadyExists => {
            return Err(format!("cannot create {}: {err}", registry.display()));
        }
        _ => {}
    }
    instance::check_registry(&registry).map_err(|err| err.to_string())?;
    Ok(registry)
}

/// Returns the log file of an app in the background: beside its runtime directory, so that it remains after the end.
pub(super) fn usual_log_file(root: &Path) -> Result<PathBuf, String> {
    Ok(prepared_registry()?.join(format!("{}.log", name(root))))
}

fn name(root: &Path) -> String {
    let Digest(digest) = Digest::of(root.as_os_str().as_bytes());
    let hex = |byte: &u8| format!("{byte:02x}");
    format!("{PREFIX}{}", digest[..8].iter().map(hex).collect::<String>())
}

/// Returns the running app in a directory.
pub(super) fn find(root: &Path) -> Option<RunningApp> {
    alive(&registry().join(name(root)))
}

/// Returns all running apps of this user, by directory.
pub(super) fn all() -> Vec<RunningApp> {
    let entries = fs::read_dir(registry()).into_iter().flatten().flatten();
    let of_apps = entries.filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()));
    let mut apps: Vec<_> = of_apps.filter_map(|entry| alive(&entry.path())).collect();
    apps.sort_by(|one, other| one.root.cmp(&other.root));
    apps
}

/// Returns the app of a runtime directory whose lock is held.
fn alive(path: &Path) -> Option<RunningApp> {
    let lock = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path.join(LOCK)).ok()?;
    // A shared lock, so that two checking processes do not mistake each other for the app.
    let is_held = Flock::lock(lock, FlockArg::LockSharedNonblock).is_err();
    is_held.then(|| read(path)).flatten()
}

fn read(path: &Path) -> Option<RunningApp> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path.join(STATE)).ok()?;
    serde_json::from_reader(io::Read::take(file, MAX_STATE)).ok()
}
