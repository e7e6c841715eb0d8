//! The inotify watch for removal or renaming of the socket's file or its directory. It costs nothing while neither
//! happens.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// The watch, if there is one.
#[derive(Debug)]
pub(super) struct Watch(Option<Inotify>);

impl Watch {
    /// Watches the file at `path`. If the kernel refuses, as when all watches are in use, nothing is reported.
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

    /// Discards the events so far.
    pub(super) fn forget(&self) {
        if let Some(inotify) = &self.0 {
            // An error means that there are no more.
            while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

fn watch(path: &Path) -> io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let moved = AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
    // Removing an open file changes its link count, which is an attribute.
    inotify.add_watch(path, moved | AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_DONT_FOLLOW)?;
    if let Some(directory) = path.parent() {
        inotify.add_watch(directory, moved)?;
    }
    Ok(inotify)
}
