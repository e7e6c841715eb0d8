//! The check of files that root opens for others: log files for nginx, and environment files of apps.
//!
//! Every process that can connect to the daemon's socket can send what nginx sends. So root opens only files that only
//! root can have created: below `/var/log`, with a name that ends in `.log` and is not a system log's, on a path that
//! only root can change, without symbolic links, and either new, empty or beginning like a log of this daemon.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{self, OFlag};
use nix::sys::stat::{self, FileStat, Mode, SFlag};
use nix::unistd::Uid;

use super::open::{Refusal, flags, mode, refusal};
use common::log;

/// System logs, which are not this daemon's even if they do not exist.
const SYSTEM_LOGS: [&str; 14] = [
    "alternatives.log",
    "auth.log",
    "boot.log",
    "cron.log",
    "daemon.log",
    "debug.log",
    "dpkg.log",
    "fontconfig.log",
    "kern.log",
    "mail.log",
    "messages.log",
    "secure.log",
    "syslog.log",
    "user.log",
];

/// Where files may be, and who must have created them.
struct Trust<'a> {
    /// The directory in which the check of the path starts.
    top: &'a Path,
    /// The path, relative to `top`, of the directory that contains the files.
    logs: &'a str,
    owner: Uid,
}

/// Opens a file that root may open for nginx.
pub(crate) fn open_for_nginx(path: &Path) -> Result<OwnedFd, Refusal> {
    Trust { top: Path::new("/"), logs: "var/log", owner: Uid::from_raw(0) }.open(path)
}

/// Opens a file for reading that lies below `top`, on a path that only root can change.
pub(crate) fn open_readable(top: &Path, path: &Path) -> Result<OwnedFd, Refusal> {
    let parts = path.strip_prefix("/").ok().filter(|_| path.starts_with(top)).and_then(Path::to_str);
    let mut way: Vec<&str> = parts.unwrap_or_default().split('/').collect();
    let name = way.pop().filter(|name| way.iter().chain([name]).all(|part| is_plain(part)));
    let name = name.ok_or_else(|| Refusal::NotBelow(top.to_path_buf()))?;
    let root = Trust { top: Path::new("/"), logs: "", owner: Uid::from_raw(0) };
    let file = fcntl::openat(&root.walk(&way)?, name, READING, Mode::empty()).map_err(refusal)?;
    root.check_file(&stat::fstat(&file).map_err(refusal)?)?;
    Ok(file)
}

/// Flags with which no symbolic link is followed and no call waits.
const READING: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK);

fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

impl Trust<'_> {
    fn open(&self, path: &Path) -> Result<OwnedFd, Refusal> {
        let (way, name) = self.parts(path).ok_or_else(|| Refusal::Outside(self.top.join(self.logs)))?;
        let directory = self.walk(&way)?;
        let file = fcntl::openat(&directory, name, flags(), mode()).map_err(refusal)?;
        let found = stat::fstat(&file).map_err(refusal)?;
        self.check_file(&found)?;
        if found.st_size > 0 && !log::is_beginning(&read_beginning(&directory, name)?) {
            return Err(Refusal::NotOurs("its content is not a log of this daemon"));
        }
        Ok(file)
    }

    /// Returns the directories of the path and the file's name if the path is plain and below the log directory.
    fn parts<'p>(&self, path: &'p Path) -> Option<(Vec<&'p str>, &'p str)> {
        let inside = path.to_str()?.strip_prefix(self.top.to_str()?)?.trim_start_matches('/');
        let below = inside.strip_prefix(self.logs)?.strip_prefix('/')?;
        let mut way: Vec<_> = inside.split('/').collect();
        let name = way.pop()?;
        let is_log = name.ends_with(".log") && !(below == name && SYSTEM_LOGS.contains(&name));
        (is_log && below.split('/').all(is_plain)).then_some((way, name))
    }

    /// Opens one directory after another by descriptor, so that none can be replaced after it was checked.
    fn walk(&self, way: &[&str]) -> Result<OwnedFd, Refusal> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut at = self.top.to_path_buf();
        let refused = |at: &Path| {
            let at = at.to_path_buf();
            |why| Refusal::Directory(at, why)
        };
        let mut directory = fcntl::open(&at, flags, Mode::empty()).map_err(refused(&at))?;
        self.check_directory(&directory, &at)?;
        for name in way {
            at.push(name);
            directory = fcntl::openat(&directory, *name, flags, Mode::empty()).map_err(refused(&at))?;
            self.check_directory(&directory, &at)?;
        }
        Ok(directory)
    }

    fn check_directory(&self, directory: &OwnedFd, at: &Path) -> Result<(), Refusal> {
        let found = stat::fstat(directory).map_err(refusal)?;
        let mode = Mode::from_bits_truncate(found.st_mode);
        let by_group = mode.contains(Mode::S_IWGRP) && found.st_gid != 0;
        let ours = found.st_uid == self.owner.as_raw() && !by_group && !mode.contains(Mode::S_IWOTH);
        if ours { Ok(()) } else { Err(Refusal::Shared(at.to_path_buf())) }
    }

    fn check_file(&self, found: &FileStat) -> Result<(), Refusal> {
        let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
        if kind != SFlag::S_IFREG {
            return Err(Refusal::NotOurs("it is not a regular file"));
        }
        if found.st_uid != self.owner.as_raw() {
            return Err(Refusal::NotOurs("it does not belong to root"));
        }
        if found.st_nlink != 1 {
            return Err(Refusal::NotOurs("it has several hard links"));
        }
        Ok(())
    }
}

/// Reads by a separate descriptor: the one that is kept, and given to the router, is write-only.
fn read_beginning(directory: &OwnedFd, name: &str) -> Result<Vec<u8>, Refusal> {
    let file = fcntl::openat(directory, name, READING, Mode::empty()).map_err(refusal)?;
    let mut beginning = Vec::new();
    File::from(file).take(log::BEGINNING as u64).read_to_end(&mut beginning).map_err(Refusal::Call)?;
    Ok(beginning)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::super::open::open_any;
    use super::*;

    /// `logs` below a temporary directory.
    fn scene(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("fp-log-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&top));
        fs::create_dir_all(top.join("logs/deep")).unwrap();
        for dir in ["", "logs", "logs/deep"] {
            fs::set_permissions(top.join(dir), Permissions::from_mode(0o755)).unwrap();
        }
        top
    }

    fn open(top: &Path, path: &str) -> Result<OwnedFd, String> {
        let trust = Trust { top, logs: "logs", owner: nix::unistd::geteuid() };
        trust.open(&top.join(path)).map_err(|why| why.to_string())
    }

    #[test]
    fn opens_what_is_below_the_logs_and_nothing_else() {
        let top = scene("below");
        open(&top, "logs/x.log").unwrap();
        open(&top, "logs/deep/x.log").unwrap();
        assert_eq!(fs::metadata(top.join("logs/x.log")).unwrap().permissions().mode() & 0o137, 0);
        for path in [
            "logs",
            "logs/",
            "x.log",
            "logsx.log",
            "logs/../x.log",
            "logs/./x.log",
            "logs//x.log",
            "/etc/x.log",
            "logs/x/..",
            "logs/btmp",
            "logs/auth.log",
        ] {
            let refused = open(&top, path).unwrap_err();
            assert!(refused.contains("must be below"), "{path}: {refused}");
        }
        assert!(open(&top, "logs/missing/x.log").unwrap_err().contains("logs/missing cannot be opened"));
        assert!(!top.join("x.log").exists() && !top.join("logs/auth.log").exists());
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn follows_no_symbolic_link() {
        let top = scene("link");
        symlink("deep", top.join("logs/link")).unwrap();
        symlink("deep/x.log", top.join("logs/x.log")).unwrap();
        assert!(open(&top, "logs/link/x.log").unwrap_err().contains("no symbolic link is followed"));
        assert_eq!(open(&top, "logs/x.log").unwrap_err(), "it is a symbolic link");
        assert_eq!(open_any(&top.join("logs/x.log")).unwrap_err().to_string(), "it is a symbolic link");
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn rejects_a_path_that_others_can_change() {
        let top = scene("shared");
        for (dir, mode) in [("logs/deep", 0o757), ("logs", 0o1777), ("", 0o777)] {
            fs::set_permissions(top.join(dir), Permissions::from_mode(mode)).unwrap();
            let refused = open(&top, "logs/deep/x.log").unwrap_err();
            assert!(refused.starts_with("users other than root can change the directory"), "{refused}");
            fs::set_permissions(top.join(dir), Permissions::from_mode(0o755)).unwrap();
        }
        open(&top, "logs/deep/x.log").unwrap();
        let other_owner = Trust { top: &top, logs: "logs", owner: Uid::from_raw(4711) };
        assert!(matches!(other_owner.open(&top.join("logs/x.log")), Err(Refusal::Shared(_))));
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn rejects_a_file_that_is_not_a_log_of_the_daemon() {
        let top = scene("file");
        let write = |name: &str, text: &str| fs::write(top.join("logs").join(name), text).unwrap();
        write("empty.log", "");
        write("ours.log", "[ N 2026-11-23 16:37:01.1234 4711/supervisor main ]: starts\n");
        write("json.log", "{\"time\":\"2026-11-23T16:37:01.123456Z\"");
        write("sshd.log", "Nov 23 sshd[1]: session opened\n");
        write("short.log", "[ N 2026");
        open(&top, "logs/empty.log").unwrap();
        open(&top, "logs/ours.log").unwrap();
        open(&top, "logs/json.log").unwrap();
        for name in ["logs/sshd.log", "logs/short.log"] {
            assert_eq!(open(&top, name).unwrap_err(), "its content is not a log of this daemon");
        }
        fs::hard_link(top.join("logs/ours.log"), top.join("logs/other.log")).unwrap();
        assert_eq!(open(&top, "logs/ours.log").unwrap_err(), "it has several hard links");
        nix::unistd::mkfifo(&top.join("logs/pipe.log"), Mode::S_IRWXU).unwrap();
        assert!(open(&top, "logs/pipe.log").is_err() && open_any(&top.join("logs/pipe.log")).is_err());
        fs::remove_dir_all(top).unwrap();
    }
}
