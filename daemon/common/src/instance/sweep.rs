//! Removal of a directory that belongs to an app, by a separate process that has the rights of the app's user and a
//! time limit. The daemon does not wait for it, and an app can have nothing removed that it could not remove itself.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::prctl;
use nix::sys::stat::{self, FchmodatFlags, Mode};
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

use super::directory::open_directory;
use crate::sys::identity::{self, Identity};
use crate::sys::process::{self, Child};
use crate::sys::{descriptors, signals, title};

/// How long the removal of one directory may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Directories deeper than this are moved up first, to limit the number of open descriptors.
const MAX_DEPTH: usize = 16;
/// `nogroup` on Debian: a group without rights, as those of the owner suffice.
const NO_GROUP: u32 = 65534;

/// Starts a process that removes the directory `name` from `parent`, and then the directory `top`, the parent of such
/// directories, if it is empty.
pub(super) fn start(parent: &OwnedFd, name: &str, top: Option<&Path>) -> io::Result<Child> {
    let ours = parent.try_clone()?;
    process::run_in_child(|| sweep(ours, name, top))
}

/// Runs the process.
fn sweep(parent: OwnedFd, name: &str, top: Option<&Path>) -> io::Result<()> {
    title::set_title(c"flying-sweep")?;
    signals::reset()?;
    descriptors::close_standard_ones()?;
    let parent = descriptors::keep_only(parent)?;
    let directory = open_directory(&parent, name)?;
    let owner = Uid::from_raw(stat::fstat(&directory)?.st_uid);
    let until = Instant::now() + LIMIT;
    if unistd::geteuid().is_root() && !owner.is_root() {
        let child = process::run_in_child(|| empty_as(owner, &directory, until))?;
        child.reap_until(until + Duration::from_secs(1));
    } else {
        empty(&directory, until)?;
    }
    unistd::unlinkat(&parent, name, UnlinkatFlags::RemoveDir)?;
    // Another process of an app may have a directory in there.
    top.map_or(Ok(()), |top| std::fs::remove_dir(top).or(Ok(())))
}

fn empty_as(owner: Uid, directory: &OwnedFd, until: Instant) -> io::Result<()> {
    let identity = Identity { uid: owner, gid: Gid::from_raw(NO_GROUP), groups: Vec::new() };
    identity::become_for_good(&identity).map_err(io::Error::other)?;
    prctl::set_no_new_privs()?;
    empty(directory, until)
}

/// Removes everything in a directory. Symbolic links are not followed, except those that the app puts there while its
/// own rights are used.
pub(super) fn empty(directory: &OwnedFd, until: Instant) -> io::Result<()> {
    let mut moved = 0;
    // Entries that are moved up or created meanwhile may be missed the first time.
    while remove_entries(directory, directory, 0, &mut moved, until)? {}
    Ok(())
}

/// Removes the entries; returns whether there were any.
fn remove_entries(
    directory: &OwnedFd,
    top: &OwnedFd,
    depth: usize,
    moved: &mut u64,
    until: Instant,
) -> io::Result<bool> {
    let mut any = false;
    let mut reader = Dir::openat(directory, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in reader.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if Instant::now() > until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        any = true;
        match unistd::unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::EISDIR | Errno::EPERM) => remove_inner(directory, name, top, depth, moved, until)?,
            Err(why) => return Err(why.into()),
        }
    }
    Ok(any)
}

fn remove_inner(
    directory: &OwnedFd,
    name: &CStr,
    top: &OwnedFd,
    depth: usize,
    moved: &mut u64,
    until: Instant,
) -> io::Result<()> {
    // Its owner may have no access to it.
    stat::fchmodat(directory, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
    if depth == MAX_DEPTH {
        *moved += 1;
        let free = CString::new(format!(".moved.{}.{moved}", std::process::id()))?;
        return Ok(fcntl::renameat(directory, name, top, free.as_c_str())?);
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let inner = fcntl::openat(directory, name, flags, Mode::empty())?;
    while remove_entries(&inner, top, depth + 1, moved, until)? {}
    Ok(unistd::unlinkat(directory, name, UnlinkatFlags::RemoveDir)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn everything_is_removed_at_any_depth_and_of_any_name() {
        let path = std::env::temp_dir().join(format!("fp-sweep-{}", std::process::id()));
        let outside = path.join("outside");
        let swept = path.join("swept");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("kept"), "").unwrap();
        let deep = (0..100).fold(swept.clone(), |path, level| path.join(format!("d{}", level % 3)));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("file"), "").unwrap();
        std::fs::write(swept.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "").unwrap();
        std::os::unix::fs::symlink(&outside, swept.join("link")).unwrap();
        std::fs::create_dir(swept.join("closed")).unwrap();
        std::fs::write(swept.join("closed/file"), "").unwrap();
        std::fs::set_permissions(swept.join("closed"), PermissionsExt::from_mode(0o000)).unwrap();
        let directory = open_directory(fcntl::AT_FDCWD, swept.to_str().unwrap()).unwrap();
        empty(&directory, Instant::now() + LIMIT).unwrap();
        assert_eq!(std::fs::read_dir(&swept).unwrap().count(), 0);
        assert!(outside.join("kept").exists());
        std::fs::write(swept.join("file"), "").unwrap();
        let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(empty(&directory, past).is_err(), "there is a time limit");
        std::fs::remove_dir_all(&path).unwrap();
    }
}
