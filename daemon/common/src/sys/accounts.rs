//! Look-ups of the system's users and groups: names to numbers and back.
//!
//! They use the C library, which may ask LDAP or read a file. The results are interpreted elsewhere.

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid};

/// The entry of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// User ID.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// A failed look-up, as opposed to one that finds no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be looked up: {}", why.desc())]
pub struct LookupError {
    what: String,
    why: Errno,
}

impl From<unistd::User> for Account {
    fn from(user: unistd::User) -> Self {
        Self { name: user.name, uid: user.uid, gid: user.gid, home: user.dir, shell: user.shell }
    }
}

/// Returns the user of that name.
pub fn user_named(name: &str) -> Result<Option<Account>, LookupError> {
    let found = unistd::User::from_name(name);
    Ok(checked(found, || format!("user \"{name}\""))?.map(Account::from))
}

/// Returns the user of that number.
pub fn user_numbered(uid: Uid) -> Result<Option<Account>, LookupError> {
    let found = unistd::User::from_uid(uid);
    Ok(checked(found, || format!("user {uid}"))?.map(Account::from))
}

/// Returns the number of the group of that name.
pub fn group_named(name: &str) -> Result<Option<Gid>, LookupError> {
    let found = unistd::Group::from_name(name);
    Ok(checked(found, || format!("group \"{name}\""))?.map(|group| group.gid))
}

/// Returns the name of the group of that number.
pub fn group_numbered(gid: Gid) -> Result<Option<String>, LookupError> {
    let found = unistd::Group::from_gid(gid);
    Ok(checked(found, || format!("group {gid}"))?.map(|group| group.name))
}

/// Returns every group of a user, including `primary`.
pub fn groups_of(user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
    let fail = |why| LookupError { what: format!("the groups of \"{user}\""), why };
    let name = CString::new(user).map_err(|_| fail(Errno::EINVAL))?;
    unistd::getgrouplist(&name, primary).map_err(fail)
}

/// Distinguishes errors: the C library reports "no such entry" as one of several, depending on where it searched.
fn checked<T>(found: Result<Option<T>, Errno>, what: impl Fn() -> String) -> Result<Option<T>, LookupError> {
    match found {
        Ok(found) => Ok(found),
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM | Errno::EINVAL) => Ok(None),
        Err(why) => Err(LookupError { what: what(), why }),
    }
}
