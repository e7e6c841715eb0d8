//! Reported by the kernel when the socket's file is removed or renamed, or its directory is. Costs nothing while neither
//! happens.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// What is watched.
#[derive(Debug)]
pub(super) struct Watch(Option<Inotify>);

impl Watch {
    /// Watches the file at `path`; without the kernel's help, as when all of its watches are taken, nothing is told.
    pub(super) fn on(path: &Path) -> Self {
        Self(
            watch(path)
                .inspect_err(|why| tracing::debug!("{} cannot be watched: {why}", path.display()))
                .ok(),
        )
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }

    /// What has been told so far is known.
    pub(super) fn forget(&self) {
        if let Some(inotify) = &self.0 {
            // An error says that there is no more.
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

fn watch(path: &Path) -> io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let moved = AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
    // A file that is open when it is removed changes its count of names, which is an attribute.
    inotify.add_watch(path, moved | AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_DONT_FOLLOW)?;
    if let Some(directory) = path.parent() {
        inotify.add_watch(directory, moved)?;
    }
    Ok(inotify)
}
