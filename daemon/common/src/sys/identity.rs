//! Switching to another user: permanently, or temporarily for checks of files with that user's rights.
//!
//! The permanent switch takes a complete identity and verifies that it cannot be reverted. It looks up no names.

use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid};

use super::process;

/// The identity of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved user ID.
    pub uid: Uid,
    /// Real, effective and saved group ID.
    pub gid: Gid,
    /// All supplementary groups.
    pub groups: Vec<Gid>,
}

/// Why the identity was not taken. The process must not continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A call failed.
    #[error("{} failed: {}", .0, .1.desc())]
    Call(&'static str, Errno),
    /// The kernel reports another identity than the one that was set.
    #[error("the kernel reports {0} other than those that were set")]
    NotTaken(&'static str),
    /// The old identity could be restored.
    #[error("the process could become root again")]
    Reversible,
}

/// Switches to `identity`: groups, then group, then user, each checked. Then verifies the result with the kernel, and
/// that there is no way back.
pub fn become_for_good(identity: &Identity) -> Result<(), IdentityError> {
    let Identity { uid, gid, groups } = identity;
    unistd::setgroups(groups).map_err(|why| IdentityError::Call("setgroups", why))?;
    unistd::setresgid(*gid, *gid, *gid).map_err(|why| IdentityError::Call("setresgid", why))?;
    unistd::setresuid(*uid, *uid, *uid).map_err(|why| IdentityError::Call("setresuid", why))?;
    check_taken(identity)?;
    check_irreversible(*uid)
}

/// Runs `look` with only the file access rights of `identity`, then restores those of root. For a process with one
/// thread that root started and that has no supplementary groups to lose; it exits if it cannot be root again.
///
/// # Errors
///
/// If the rights cannot be taken; `look` has not run then.
pub fn with_file_rights_of<T>(identity: &Identity, look: impl FnOnce() -> T) -> Result<T, IdentityError> {
    let set_groups =
        |groups: &[Gid]| unistd::setgroups(groups).map_err(|why| IdentityError::Call("setgroups", why));
    set_groups(&identity.groups)?;
    let seen = take_file_ids(identity.uid, identity.gid).map(|()| look());
    let back = take_file_ids(Uid::from_raw(0), Gid::from_raw(0)).and_then(|()| set_groups(&[]));
    if back.is_err() {
        process::exit_now(1);
    }
    seen
}

/// Sets the user and group IDs for file access, which needs no rights that a change to another user removes.
fn take_file_ids(uid: Uid, gid: Gid) -> Result<(), IdentityError> {
    unistd::setfsgid(gid);
    unistd::setfsuid(uid);
    // These calls return the previous number, so the second call returns what the first one set.
    if unistd::setfsgid(gid) != gid {
        return Err(IdentityError::NotTaken("group IDs for files"));
    }
    if unistd::setfsuid(uid) != uid {
        return Err(IdentityError::NotTaken("user IDs for files"));
    }
    Ok(())
}

fn check_taken(identity: &Identity) -> Result<(), IdentityError> {
    let Identity { uid, gid, groups } = identity;
    let users = unistd::getresuid().map_err(|why| IdentityError::Call("getresuid", why))?;
    if [users.real, users.effective, users.saved] != [*uid; 3] {
        return Err(IdentityError::NotTaken("user IDs"));
    }
    let primary = unistd::getresgid().map_err(|why| IdentityError::Call("getresgid", why))?;
    if [primary.real, primary.effective, primary.saved] != [*gid; 3] {
        return Err(IdentityError::NotTaken("group IDs"));
    }
    let taken = unistd::getgroups().map_err(|why| IdentityError::Call("getgroups", why))?;
    if sorted(&taken) != sorted(groups) {
        return Err(IdentityError::NotTaken("supplementary groups"));
    }
    Ok(())
}

fn check_irreversible(uid: Uid) -> Result<(), IdentityError> {
    if uid.is_root() {
        return Ok(());
    }
    if unistd::setuid(Uid::from_raw(0)).is_ok() || unistd::seteuid(Uid::from_raw(0)).is_ok() {
        return Err(IdentityError::Reversible);
    }
    Ok(())
}

fn sorted(groups: &[Gid]) -> Vec<u32> {
    let mut ids: Vec<u32> = groups.iter().map(|gid| gid.as_raw()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
