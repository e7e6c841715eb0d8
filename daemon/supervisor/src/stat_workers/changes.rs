//! Changes in the directories of restart files, as inotify reports them, so that a restart does not wait for a request.
//!
//! Stat workers add and remove the watches, because either may block; the supervisor only reads events, which does not.
//! Without a watch (none left, a network file system) the check at a request remains.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::restart_files::{Names, Watched};
use super::watches::Watches;

/// Most watches, and most of directories that belong to one user.
const MAX_WATCHES: usize = 1024;
const MAX_PER_OWNER: usize = 128;
/// Replaced watches that are removed with one question, as many apps may replace one with each check.
const EVICTED_AT_A_TIME: usize = 32;
/// Pause after events were read, so that no app keeps the supervisor busy.
const PAUSE: Duration = Duration::from_millis(100);
/// Most reads of events at a time, each of some 4 KiB.
const MAX_READS: usize = 16;
/// Events of other files in one directory and [`WINDOW`], after which it is no longer watched: an app works there.
const MAX_NOISE: usize = 2_000;
const WINDOW: Duration = Duration::from_secs(10);

/// The inotify instance and its watches.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Created with the first watch; `None` before, and when the kernel refuses.
    inotify: Option<Inotify>,
    refused: bool,
    watches: Watches,
    /// Watches that were replaced by others, and are to be removed, many at a time.
    evicted: Vec<i32>,
    /// Number of answers so far, by which the least recently wanted watch is known.
    answers: u64,
    /// No event is read before this.
    quiet_until: Option<Instant>,
    window: Instant,
}

/// What events say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Directories whose restart files have changed.
    pub(crate) dirs: BTreeSet<PathBuf>,
    /// Directories that have been made, removed or replaced. The router, which may name any directory, gets a
    /// notice only if there are restart files in them.
    pub(crate) replaced: BTreeSet<PathBuf>,
    /// Watches that are to be removed.
    pub(crate) unwanted: Vec<i32>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            inotify: None,
            refused: false,
            watches: Watches::default(),
            evicted: Vec::new(),
            answers: 0,
            quiet_until: None,
            window: Instant::now(),
        }
    }
}

impl Changes {
    /// Returns the inotify instance to which workers add watches.
    pub(super) fn instance(&mut self) -> Option<BorrowedFd<'_>> {
        if self.inotify.is_none() && !self.refused {
            let made = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
            self.inotify = made.inspect_err(|why| warn_unwatched(Path::new("any directory"), why)).ok();
            self.refused = self.inotify.is_none();
        }
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Returns the descriptor to wait for, unless it is too early to read again.
    pub(crate) fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().filter(|_| self.quiet_until.is_none()).map(AsFd::as_fd)
    }

    /// Returns when events may be read again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.quiet_until
    }

    /// Allows reading again when it is time.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.quiet_until = self.quiet_until.filter(|until| *until > now);
    }

    /// Records the watches that a worker has added for the restart files in `dir`; returns those to be removed.
    pub(crate) fn watched(&mut self, dir: &Path, added: Result<Vec<Watched>, String>) -> Vec<i32> {
        self.answers += 1;
        let added = added.unwrap_or_else(|why| {
            if !std::mem::replace(&mut self.refused, true) {
                warn_unwatched(dir, &why);
            }
            Vec::new()
        });
        let is_added = |number| added.iter().any(|watched| watched.number == number);
        let mut unwanted = self.watches.forget(dir, is_added);
        self.evicted.retain(|number| !is_added(*number));
        for watched in added {
            let owner = watched.owner;
            self.watches.add(dir, watched, self.answers);
            self.evict_above_limit(owner);
        }
        if self.evicted.len() >= EVICTED_AT_A_TIME {
            unwanted.append(&mut self.evicted);
        }
        unwanted
    }

    /// Removes the watch that was wanted least recently if there are too many, of this user or in all.
    fn evict_above_limit(&mut self, owner: u32) {
        let oldest = if self.watches.len() > MAX_WATCHES {
            self.watches.oldest(None)
        } else if self.watches.owned_by(owner) > MAX_PER_OWNER {
            self.watches.oldest(Some(owner))
        } else {
            None
        };
        let Some(oldest) = oldest else { return };
        self.watches.remove(oldest);
        self.evicted.push(oldest);
    }

    /// Reads events.
    pub(crate) fn read(&mut self, now: Instant) -> Changed {
        if now.duration_since(self.window) > WINDOW {
            self.window = now;
            self.watches.reset_noise();
        }
        let mut changed = Changed::default();
        for _ in 0..MAX_READS {
            let Some(Ok(events)) = self.inotify.as_ref().map(Inotify::read_events) else { break };
            for event in events {
                self.note(event.wd.as_raw(), event.mask, event.name, &mut changed);
            }
        }
        self.quiet_until = Some(now + PAUSE);
        changed
    }

    fn note(&mut self, number: i32, mask: AddWatchFlags, name: Option<OsString>, changed: &mut Changed) {
        if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            changed.dirs.extend(self.watches.dirs().cloned());
            return;
        }
        if mask.contains(AddWatchFlags::IN_IGNORED) {
            // The directory was removed; another may take its place.
            let names = self.watches.remove(number).map(|watch| watch.names).unwrap_or_default();
            changed.replaced.extend(names.into_iter().map(|(_, dir)| dir));
            return;
        }
        let (Some(watch), Some(name)) = (self.watches.get_mut(number), name) else { return };
        let mut is_new = false;
        for (names, dir) in watch.names.iter().filter(|(names, _)| names.contain(&name)) {
            let dirs = if *names == Names::Files { &mut changed.dirs } else { &mut changed.replaced };
            is_new |= dirs.insert(dir.clone());
        }
        if is_new {
            return;
        }
        watch.noise += 1;
        if watch.noise > MAX_NOISE {
            self.watches.remove(number);
            changed.unwanted.push(number);
        }
    }
}

fn warn_unwatched(dir: &Path, why: &dyn std::fmt::Display) {
    tracing::warn!(
        "cannot watch {} for restart files: {why}; they are noticed at a request, at most every \
         passenger_stat_throttle_rate seconds (the kernel's limits are fs.inotify.max_user_watches and \
         fs.inotify.max_user_instances)",
        dir.display()
    );
}

/// Whether a watch was refused for want of watches, and not because this directory cannot be watched.
pub(super) fn are_used_up(why: &io::Error) -> bool {
    why.raw_os_error() == Some(nix::libc::ENOSPC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(number: i32, owner: u32) -> Result<Vec<Watched>, String> {
        Ok(vec![Watched { number, owner, names: Names::Files }])
    }

    fn note(changes: &mut Changes, number: i32, mask: AddWatchFlags, name: &str) -> Changed {
        let mut changed = Changed::default();
        changes.note(number, mask, Some(name.into()), &mut changed);
        changed
    }

    #[test]
    fn a_directory_that_was_replaced_is_no_longer_watched() {
        let mut changes = Changes::default();
        assert_eq!(changes.watched(Path::new("/a"), watched(1, 7)), Vec::<i32>::new());
        assert_eq!(
            changes.watched(Path::new("/b"), watched(1, 7)),
            Vec::<i32>::new(),
            "another path of the same directory"
        );
        assert_eq!(changes.watched(Path::new("/a"), watched(2, 7)), Vec::<i32>::new());
        assert_eq!(changes.watched(Path::new("/b"), watched(2, 7)), [1]);
        let both = note(&mut changes, 2, AddWatchFlags::IN_ATTRIB, "restart.txt").dirs;
        assert_eq!(both, BTreeSet::from(["/a".into(), "/b".into()]));
    }

    #[test]
    fn watches_are_bounded_for_each_user_and_in_all() {
        let mut changes = Changes::default();
        let (mut number, mut removed) = (0, BTreeSet::new());
        for owner in 0..20 {
            for _ in 0..=MAX_PER_OWNER {
                number += 1;
                let dir = PathBuf::from(format!("/{number}"));
                removed.extend(changes.watched(&dir, watched(number, owner)));
                assert!(
                    removed.len() + changes.watches.len() + EVICTED_AT_A_TIME
                        > usize::try_from(number).unwrap()
                );
            }
        }
        assert_eq!(changes.watches.len(), MAX_WATCHES);
        assert!(changes.watches.get_mut(number).is_some(), "the last one is wanted most");
    }

    #[test]
    fn a_replaced_watch_that_is_wanted_again_is_not_removed() {
        let mut changes = Changes::default();
        let (mut number, mut removed) = (0, Vec::new());
        let most = i32::try_from(MAX_PER_OWNER).unwrap();
        while removed.is_empty() {
            number += 1;
            removed = changes.watched(Path::new(&format!("/{number}")), watched(number, 7));
            if number == most + 1 {
                assert_eq!(changes.evicted, [1]);
                changes.watched(Path::new("/1"), watched(1, 7));
            }
        }
        assert_eq!((removed.len(), removed.contains(&1)), (EVICTED_AT_A_TIME, false));
        assert!(changes.watches.get_mut(1).is_some() && changes.watches.get_mut(2).is_none());
    }

    #[test]
    fn other_files_matter_only_when_there_are_too_many_events() {
        let mut changes = Changes::default();
        changes.watched(Path::new("/a"), watched(1, 7));
        for _ in 0..MAX_NOISE {
            assert_eq!(note(&mut changes, 1, AddWatchFlags::IN_CREATE, "cache"), Changed::default());
        }
        let end = note(&mut changes, 1, AddWatchFlags::IN_CREATE, "cache");
        assert_eq!(end, Changed { unwanted: vec![1], ..Changed::default() });
        assert_eq!(note(&mut changes, 1, AddWatchFlags::IN_ATTRIB, "restart.txt"), Changed::default());
    }

    #[test]
    fn a_new_directory_is_checked_before_the_router_learns_of_it() {
        let mut changes = Changes::default();
        let parent = Watched { number: 1, owner: 7, names: Names::Entry("tmp".into()) };
        changes.watched(Path::new("/app/tmp"), Ok(vec![parent]));
        assert_eq!(note(&mut changes, 1, AddWatchFlags::IN_CREATE, "other"), Changed::default());
        let made = note(&mut changes, 1, AddWatchFlags::IN_CREATE, "tmp");
        assert_eq!((made.dirs.len(), made.replaced), (0, BTreeSet::from(["/app/tmp".into()])));
    }

    #[test]
    fn after_an_overflow_every_directory_may_have_changed() {
        let mut changes = Changes::default();
        changes.watched(Path::new("/a"), watched(1, 7));
        changes.watched(Path::new("/b"), watched(2, 8));
        let all = BTreeSet::from(["/a".into(), "/b".into()]);
        assert_eq!(note(&mut changes, -1, AddWatchFlags::IN_Q_OVERFLOW, "").dirs, all);
        let removed = note(&mut changes, 1, AddWatchFlags::IN_IGNORED, "").replaced;
        assert_eq!(removed, BTreeSet::from(["/a".into()]), "another directory may take its place");
        assert_eq!(note(&mut changes, 1, AddWatchFlags::IN_ATTRIB, "restart.txt").dirs, BTreeSet::new());
    }
}
