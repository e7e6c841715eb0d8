//! Watches the files of an app with inotify. Changes that follow each other closely are reported together.

mod rules;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

pub(super) use self::rules::Rules;

/// Further changes within this time belong to the same report.
const QUIET: Duration = Duration::from_millis(100);
/// Maximum time between the first change and its report.
const PATIENCE: Duration = Duration::from_secs(2);
/// Maximum number of watched directories.
const MAX_DIRECTORIES: usize = 8192;

/// The watched directories of one app.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: Inotify,
    directories: HashMap<WatchDescriptor, PathBuf>,
    rules: Rules,
    max: usize,
    /// Why some directories are not watched; not reported yet.
    problem: Option<String>,
    has_reported: bool,
}

impl Watcher {
    /// Watches all directories of the app that the rules do not ignore.
    pub(super) fn new(root: &Path, rules: Rules) -> Result<Self, String> {
        Self::with_limit(root, rules, MAX_DIRECTORIES)
    }

    fn with_limit(root: &Path, rules: Rules, max: usize) -> Result<Self, String> {
        let inotify =
            Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(|err| match err {
                Errno::EMFILE => limit_reached("fs.inotify.max_user_instances", 1024),
                err => format!("changes of files are not noticed: inotify: {}", err.desc()),
            })?;
        let directories = HashMap::new();
        let mut watcher = Self { inotify, directories, rules, max, problem: None, has_reported: false };
        watcher.add_all_below(root);
        Ok(watcher)
    }

    /// Returns, once, why some directories are not watched.
    pub(super) fn take_problem(&mut self) -> Option<String> {
        let problem = self.problem.take().filter(|_| !self.has_reported);
        self.has_reported |= problem.is_some();
        problem
    }

    /// Waits for changes; returns the files.
    pub(super) fn next_changes(&mut self) -> Result<Vec<PathBuf>, String> {
        let mut changed: BTreeSet<PathBuf> = BTreeSet::new();
        let mut new = BTreeSet::new();
        let mut first = None;
        loop {
            let quiet = match first {
                None => None,
                Some(first) => {
                    let left = PATIENCE.saturating_sub(Instant::now().duration_since(first));
                    Some(QUIET.min(left)).filter(|left| !left.is_zero())
                }
            };
            if first.is_some() && (quiet.is_none() || !self.waits(quiet)?) {
                // Editors write a temporary file, which then replaces the file.
                changed.retain(|path: &PathBuf| !new.contains(path) || path.symlink_metadata().is_ok());
                if changed.is_empty() {
                    first = None;
                    continue;
                }
                return Ok(changed.into_iter().collect());
            }
            if first.is_none() {
                self.waits(None)?;
            }
            self.read(&mut changed, &mut new)?;
            if first.is_none() && !changed.is_empty() {
                first = Some(Instant::now());
            }
        }
    }

    /// Waits for an event; false after the time limit.
    fn waits(&self, limit: Option<Duration>) -> Result<bool, String> {
        let limit = limit
            .map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO));
        let mut watched = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut watched, limit) {
                Err(Errno::EINTR) => {}
                Err(err) => return Err(failed(err)),
                Ok(ready) => return Ok(ready > 0),
            }
        }
    }

    fn read(&mut self, changed: &mut BTreeSet<PathBuf>, new: &mut BTreeSet<PathBuf>) -> Result<(), String> {
        let events = match self.inotify.read_events() {
            Err(Errno::EAGAIN) => return Ok(()),
            Err(err) => return Err(failed(err)),
            Ok(events) => events,
        };
        for event in events {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                changed.insert(self.rules.root().to_path_buf());
                let root = self.rules.root().to_path_buf();
                self.add_all_below(&root);
            } else {
                self.handle(&event, changed, new);
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: &InotifyEvent, changed: &mut BTreeSet<PathBuf>, new: &mut BTreeSet<PathBuf>) {
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.directories.remove(&event.wd);
            return;
        }
        let (Some(directory), Some(name)) = (self.directories.get(&event.wd), &event.name) else { return };
        let path = directory.join(name);
        let has_come = event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO);
        if event.mask.contains(AddWatchFlags::IN_ISDIR) {
            if self.rules.ignores_directory(&path) {
                return;
            }
            if has_come {
                // Files may have been created before the directory was watched.
                changed.extend(self.add_all_below(&path));
            } else {
                self.remove_all_below(&path);
                changed.insert(path);
            }
            return;
        }
        if event.mask.contains(AddWatchFlags::IN_CREATE) {
            new.insert(path.clone());
        }
        // A new file is reported when it is closed; a link is not opened.
        let is_early = event.mask.contains(AddWatchFlags::IN_CREATE)
            && !path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        if !is_early && !self.rules.ignores_file(&path) {
            changed.insert(path);
        }
    }

    /// Watches a directory and those below it, the upper ones first; returns the files in them.
    fn add_all_below(&mut self, top: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut left = VecDeque::from([top.to_path_buf()]);
        while let Some(directory) = left.pop_front() {
            if !self.add(&directory) {
                break;
            }
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                match entry.file_type() {
                    Ok(found) if found.is_dir() && !self.rules.ignores_directory(&path) => {
                        left.push_back(path)
                    }
                    Ok(found) if !found.is_dir() && !self.rules.ignores_file(&path) => files.push(path),
                    _ => {}
                }
            }
        }
        files
    }

    /// Watches one directory; false if no more can be watched.
    fn add(&mut self, directory: &Path) -> bool {
        let max = self.max;
        if self.directories.len() >= max {
            self.problem.get_or_insert_with(|| {
                format!(
                    "changes below {} are not noticed: more than {max} directories; exclude some, \
                     such as --ignore data",
                    directory.display()
                )
            });
            return false;
        }
        let events = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        match self.inotify.add_watch(directory, events) {
            Ok(watch) => {
                self.directories.insert(watch, directory.to_path_buf());
                true
            }
            Err(Errno::ENOSPC) => {
                self.problem.get_or_insert_with(|| limit_reached("fs.inotify.max_user_watches", 524_288));
                false
            }
            // It has gone, or belongs to another user.
            Err(_) => true,
        }
    }

    fn remove_all_below(&mut self, top: &Path) {
        let below = |path: &PathBuf| path.starts_with(top);
        let gone: Vec<_> =
            self.directories.iter().filter(|(_, path)| below(path)).map(|(wd, _)| *wd).collect();
        for watch in gone {
            // A removed directory is no longer watched anyway.
            let _ = self.inotify.rm_watch(watch);
            self.directories.remove(&watch);
        }
    }
}

fn limit_reached(name: &str, better: u32) -> String {
    format!(
        "some changes of files are not noticed: the system's limit {name} is reached; raise it with: sudo sysctl \
         {name}={better}"
    )
}

fn failed(err: Errno) -> String {
    format!("changes of files are no longer noticed: inotify: {}", err.desc())
}

#[cfg(test)]
mod tests {
    use crate::temp_dir::TempDir;

    use super::*;

    /// A watched directory.
    struct Watched {
        dir: TempDir,
        watcher: Watcher,
    }

    impl Watched {
        fn new(max: usize, directories: &[&str]) -> Self {
            let dir = TempDir::new("fp-watch").unwrap();
            for each in directories {
                fs::create_dir_all(dir.join(each)).unwrap();
            }
            let root = dir.join("").canonicalize().unwrap();
            let rules = Rules::new(&root, vec!["*.csv".to_owned()]);
            let watcher = Watcher::with_limit(&root, rules, max).unwrap();
            Self { dir, watcher }
        }

        fn changes(&mut self) -> Vec<PathBuf> {
            let top = self.dir.join("").canonicalize().unwrap();
            let changes = self.watcher.next_changes().unwrap();
            changes.iter().map(|path| path.strip_prefix(&top).unwrap().to_path_buf()).collect()
        }
    }

    #[test]
    fn changes_that_follow_each_other_are_one_report() {
        let mut watched = Watched::new(100, &["lib"]);
        fs::write(watched.dir.join("app.py"), "1").unwrap();
        fs::write(watched.dir.join("lib/shop.py"), "1").unwrap();
        assert_eq!(watched.changes(), [Path::new("app.py"), Path::new("lib/shop.py")]);
    }

    #[test]
    fn ignored_files_are_not_reported() {
        let mut watched = Watched::new(100, &["node_modules", "tmp", "venv"]);
        fs::write(watched.dir.join("venv/pyvenv.cfg"), "").unwrap();
        for ignored in ["node_modules/a.js", "tmp/x.rb", "development.log", "data.csv", "db.sqlite3"] {
            fs::write(watched.dir.join(ignored), "1").unwrap();
        }
        fs::write(watched.dir.join("app.js"), "1").unwrap();
        assert_eq!(watched.changes(), [Path::new("app.js")]);
    }

    #[test]
    fn renamed_deleted_and_linked_files_are_reported() {
        let mut watched = Watched::new(100, &[]);
        fs::write(watched.dir.join("app.rb"), "1").unwrap();
        assert_eq!(watched.changes(), [Path::new("app.rb")]);
        fs::remove_file(watched.dir.join("app.rb")).unwrap();
        assert_eq!(watched.changes(), [Path::new("app.rb")]);
        std::os::unix::fs::symlink("/dev/null", watched.dir.join("link.rb")).unwrap();
        assert_eq!(watched.changes(), [Path::new("link.rb")]);
    }

    #[test]
    fn temporary_files_of_editors_are_not_reported() {
        let mut watched = Watched::new(100, &[]);
        fs::write(watched.dir.join("sedX1"), "1").unwrap();
        fs::rename(watched.dir.join("sedX1"), watched.dir.join("app.py")).unwrap();
        assert_eq!(watched.changes(), [Path::new("app.py")]);
    }

    #[test]
    fn new_and_renamed_directories_are_watched() {
        let mut watched = Watched::new(100, &[]);
        fs::create_dir_all(watched.dir.join("a/b")).unwrap();
        fs::write(watched.dir.join("a/b/c.py"), "1").unwrap();
        assert_eq!(watched.changes(), [Path::new("a/b/c.py")]);
        fs::rename(watched.dir.join("a"), watched.dir.join("z")).unwrap();
        assert_eq!(watched.changes(), [Path::new("a"), Path::new("z/b/c.py")]);
        fs::write(watched.dir.join("z/b/c.py"), "2").unwrap();
        assert_eq!(watched.changes(), [Path::new("z/b/c.py")]);
    }

    #[test]
    fn the_number_of_watches_is_bounded_and_the_upper_directories_come_first() {
        let mut watched = Watched::new(2, &["a/b/c"]);
        let problem = watched.watcher.take_problem().unwrap();
        assert!(problem.contains("a/b are not noticed: more than 2 directories"), "{problem}");
        fs::write(watched.dir.join("a/b/deep.py"), "1").unwrap();
        fs::write(watched.dir.join("a/app.py"), "1").unwrap();
        assert_eq!(watched.changes(), [Path::new("a/app.py")]);
        assert_eq!(watched.watcher.take_problem(), None);
    }
}
