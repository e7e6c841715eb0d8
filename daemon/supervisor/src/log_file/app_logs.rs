//! Log files of apps: the router names a process and a path, and receives the file, opened with the rights of the
//! process.
//!
//! The path is part of nginx's configuration, and every process that can write to nginx's socket can send any path. So
//! a process that has become the app's user opens the file; root opens it only where it opens log files for nginx, too.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::{self, Gid, Uid, alarm};

use super::open::{Refusal, regular, report};
use super::open_for_nginx;
use crate::router::outstanding::{Outstanding, Share};
use common::link::channel::Channel;
use common::link::{AppUser, ProcessId, Ticket};
use common::sys::accounts::{self, LookupError};
use common::sys::identity::{self, Identity};
use common::sys::process::{self, Child};
use common::sys::signals;

/// Maximum seconds for opening a file, which may be on a network file system.
const TIMEOUT: u32 = 10;
/// Maximum number of files that are being opened; the others wait.
const MAX_OPENERS: usize = 32;
/// No file has a longer path.
const MAX_PATH: usize = 4096;

/// Files that are being opened, and those that wait to be.
#[derive(Debug, Default)]
pub(crate) struct AppLogs {
    /// The processes that open files.
    pub(crate) openers: Vec<Child>,
    waiting: VecDeque<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    ticket: Ticket,
    process: ProcessId,
    path: PathBuf,
    _share: Share,
}

/// A file that is being opened.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) ticket: Ticket,
    pub(crate) path: PathBuf,
    /// The channel for the result.
    pub(crate) answer: io::Result<OwnedFd>,
}

impl AppLogs {
    /// Adds a request, unless no file has such a path.
    pub(crate) fn request(
        &mut self,
        ticket: Ticket,
        process: ProcessId,
        path: PathBuf,
        outstanding: &Outstanding,
    ) -> bool {
        let length = path.as_os_str().len();
        let possible = length <= MAX_PATH;
        if possible {
            let _share = outstanding.take(length + size_of::<Wanted>());
            self.waiting.push_back(Wanted { ticket, process, path, _share });
        }
        possible
    }

    /// Reaps the processes that have opened their file.
    pub(crate) fn reap(&mut self) {
        self.openers.retain(|opener| matches!(opener.try_reap(), Ok(None)));
    }

    /// Starts to open the next file; `None` if none waits or too many are being opened. `user_of` returns the user of a
    /// process that has not ended.
    pub(crate) fn open_next(&mut self, user_of: impl Fn(ProcessId) -> Option<AppUser>) -> Option<Opening> {
        if self.openers.len() >= MAX_OPENERS {
            return None;
        }
        let Wanted { ticket, process, path, .. } = self.waiting.pop_front()?;
        let started = match user_of(process) {
            Some(user) => start_opening(&user, &path),
            None => Err(io::Error::other("the process has ended")),
        };
        let answer = started.map(|(answer, opener)| {
            self.openers.extend(opener);
            answer
        });
        Some(Opening { ticket, path, answer })
    }

    /// Drops the requests of a router that has ended.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
    }
}

/// Starts opening the file. Returns the channel for the result, and the process that opens the file, if needed.
fn start_opening(user: &AppUser, path: &Path) -> io::Result<(OwnedFd, Option<Child>)> {
    let (ours, theirs) = Channel::pair()?;
    let user = if !unistd::geteuid().is_root() {
        None
    } else if let Ok(file) = open_for_nginx(path) {
        report::<Refusal>(&ours, Ok(file))?;
        return Ok((theirs.into_fd(), None));
    } else {
        Some(user)
    };
    let opener = open_as(user, path, &ours)?;
    Ok((theirs.into_fd(), Some(opener)))
}

fn identity_of(user: &AppUser) -> Result<Identity, LookupError> {
    let gid = Gid::from_raw(user.gid);
    let groups = accounts::groups_of(&user.name, gid)?;
    Ok(Identity { uid: Uid::from_raw(user.uid), gid, groups })
}

/// Opens the file in a separate process, so that a slow file or group lookup delays nothing else.
fn open_as(user: Option<&AppUser>, path: &Path, to: &Channel) -> io::Result<Child> {
    // If even the answer fails, the router sees the end of the connection.
    process::run_in_child(|| report(to, become_and_open(user, path)))
}

fn become_and_open(user: Option<&AppUser>, path: &Path) -> Result<OwnedFd, String> {
    signals::reset().map_err(|why| why.to_string())?;
    alarm::set(TIMEOUT);
    if let Some(user) = user {
        let identity = identity_of(user).map_err(|why| why.to_string())?;
        identity::become_for_good(&identity).map_err(|why| why.to_string())?;
    }
    regular(path).map_err(|why| format!("{why} (opened as user {})", unistd::geteuid()))
}
