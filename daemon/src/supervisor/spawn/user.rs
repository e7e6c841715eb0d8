//! Whom an app process runs as: the sandboxing rules.
//!
//! In come the directives, the owner of the startup file and a way to look up names; out comes one user. It changes
//! nothing. The owner is the one of the file itself: a symlink's own, not its target's.

use std::fmt;

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use crate::config::UserOptions;
use crate::link::AppUser;
use crate::sys::accounts::{self, Account, LookupError};
use crate::sys::identity::Identity;

/// As `passenger_group`: the group of the startup file.
const GROUP_OF_STARTUP_FILE: &str = "!STARTUP_FILE!";

/// Who owns the startup file, or the app root of a generic app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

/// What the directives of an app say about its user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// `passenger_user`.
    pub(super) user: Option<&'a str>,
    /// `passenger_group`.
    pub(super) group: Option<&'a str>,
}

/// The user an app process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunAs {
    /// For the router and the tools.
    pub(super) user: AppUser,
    /// For `HOME` and the like; `None` when the user has no entry.
    pub(super) account: Option<Account>,
    /// What to become; `None` when the daemon is not root and stays what it is.
    pub(super) identity: Option<Identity>,
    /// Why it is this user.
    pub(super) why: Why,
}

/// Why an app runs as the user that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The daemon is not root: all run as its own user.
    NotRoot,
    /// All run as the default user.
    NoSwitching,
    /// `passenger_user` names it.
    Directive,
    /// It owns the startup file, or the root of a generic app.
    Owner,
    /// It is the default one: `passenger_user` names nobody.
    NoSuchUser,
    /// It is the default one: the owner has no account.
    NoSuchOwner,
    /// It is the default one: the other would be root.
    NeverRoot,
}

/// Why no user was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) enum UserError {
    /// There is no such default user.
    NoDefaultUser(String),
    /// There is no such default group.
    NoDefaultGroup(String),
    /// The system does not answer.
    Lookup(LookupError),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefaultUser(name) => write!(f, "the default user \"{name}\" does not exist"),
            Self::NoDefaultGroup(name) => write!(f, "the default group \"{name}\" does not exist"),
            Self::Lookup(why) => why.fmt(f),
        }
    }
}

impl From<LookupError> for UserError {
    fn from(why: LookupError) -> Self {
        Self::Lookup(why)
    }
}

/// Names to numbers and back.
pub(super) trait Directory {
    fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError>;
    fn user_numbered(&self, uid: Uid) -> Result<Option<Account>, LookupError>;
    fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError>;
    fn group_exists(&self, gid: Gid) -> Result<bool, LookupError>;
    fn groups_of(&self, user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError>;
}

/// The system's own.
pub(super) struct System;

impl Directory for System {
    fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError> {
        accounts::user_named(name)
    }

    fn user_numbered(&self, uid: Uid) -> Result<Option<Account>, LookupError> {
        accounts::user_numbered(uid)
    }

    fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError> {
        accounts::group_named(name)
    }

    fn group_exists(&self, gid: Gid) -> Result<bool, LookupError> {
        accounts::group_exists(gid)
    }

    fn groups_of(&self, user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
        accounts::groups_of(user, primary)
    }
}

/// The user for an app, for a daemon that is root.
pub(super) fn decide(
    options: &UserOptions,
    wanted: Wanted<'_>,
    owner: Owner,
    directory: &impl Directory,
) -> Result<RunAs, UserError> {
    let (account, why) = choose_user(options, wanted.user, owner, directory)?;
    let gid = choose_group(options, wanted.group, owner, &account, directory)?;
    let groups = directory.groups_of(&account.name, gid)?;
    Ok(RunAs {
        user: AppUser { uid: account.uid.as_raw(), gid: gid.as_raw(), name: account.name.clone() },
        identity: Some(Identity { uid: account.uid, gid, groups }),
        account: Some(account),
        why,
    })
}

/// The user for every app, for a daemon that is not root: its own.
pub(super) fn unchanged(uid: Uid, gid: Gid, directory: &impl Directory) -> Result<RunAs, UserError> {
    let account = directory.user_numbered(uid)?;
    let name = account.as_ref().map_or_else(|| uid.to_string(), |account| account.name.clone());
    let user = AppUser { uid: uid.as_raw(), gid: gid.as_raw(), name };
    Ok(RunAs { user, account, identity: None, why: Why::NotRoot })
}

fn choose_user(
    options: &UserOptions,
    directive: Option<&str>,
    owner: Owner,
    directory: &impl Directory,
) -> Result<(Account, Why), UserError> {
    let (found, why, missing) = match (options.switching, directive) {
        (false, _) => return Ok((default_user(options, directory)?, Why::NoSwitching)),
        (true, Some(name)) => (directory.user_named(name)?, Why::Directive, Why::NoSuchUser),
        (true, None) => (directory.user_numbered(owner.uid)?, Why::Owner, Why::NoSuchOwner),
    };
    match found {
        Some(account) if account.uid.is_root() => Ok((default_user(options, directory)?, Why::NeverRoot)),
        Some(account) => Ok((account, why)),
        None => Ok((default_user(options, directory)?, missing)),
    }
}

fn default_user(options: &UserOptions, directory: &impl Directory) -> Result<Account, UserError> {
    let name = &options.default_user;
    directory.user_named(name)?.ok_or_else(|| UserError::NoDefaultUser(name.clone()))
}

fn choose_group(
    options: &UserOptions,
    directive: Option<&str>,
    owner: Owner,
    user: &Account,
    directory: &impl Directory,
) -> Result<Gid, UserError> {
    let found = match (options.switching, directive) {
        (false, _) => None,
        (true, Some(GROUP_OF_STARTUP_FILE)) => existing(owner.gid, directory)?,
        (true, Some(name)) => directory.group_named(name)?,
        (true, None) => existing(user.gid, directory)?,
    };
    match found.filter(|gid| gid.as_raw() != 0) {
        Some(gid) => Ok(gid),
        None => default_group(options, directory),
    }
}

fn existing(gid: Gid, directory: &impl Directory) -> Result<Option<Gid>, LookupError> {
    Ok(directory.group_exists(gid)?.then_some(gid))
}

fn default_group(options: &UserOptions, directory: &impl Directory) -> Result<Gid, UserError> {
    match &options.default_group {
        Some(name) => directory.group_named(name)?.ok_or_else(|| UserError::NoDefaultGroup(name.clone())),
        None => Ok(default_user(options, directory)?.gid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// alice 1000:1000, bob 1001 whose group 4242 has no entry, carol 1002 whose group is root's, nobody 65534:65534.
    struct Village;

    const USERS: [(&str, u32, u32); 5] = [
        ("root", 0, 0),
        ("alice", 1000, 1000),
        ("bob", 1001, 4242),
        ("carol", 1002, 0),
        ("nobody", 65534, 65534),
    ];
    const GROUPS: [(&str, u32); 5] =
        [("root", 0), ("alice", 1000), ("web", 33), ("apps", 70), ("nogroup", 65534)];

    fn account((name, uid, gid): (&str, u32, u32)) -> Account {
        Account {
            name: name.into(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            home: "/".into(),
            shell: "/bin/sh".into(),
        }
    }

    impl Directory for Village {
        fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError> {
            Ok(USERS.into_iter().find(|user| user.0 == name).map(account))
        }

        fn user_numbered(&self, uid: Uid) -> Result<Option<Account>, LookupError> {
            Ok(USERS.into_iter().find(|user| user.1 == uid.as_raw()).map(account))
        }

        fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError> {
            Ok(GROUPS.into_iter().find(|group| group.0 == name).map(|group| Gid::from_raw(group.1)))
        }

        fn group_exists(&self, gid: Gid) -> Result<bool, LookupError> {
            Ok(GROUPS.into_iter().any(|group| group.1 == gid.as_raw()))
        }

        fn groups_of(&self, _user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
            Ok(vec![primary, Gid::from_raw(33)])
        }
    }

    fn run_as(switching: bool, user: Option<&str>, group: Option<&str>, owner: (u32, u32)) -> RunAs {
        let options = UserOptions { switching, default_user: "nobody".into(), default_group: None };
        let owner = Owner { uid: Uid::from_raw(owner.0), gid: Gid::from_raw(owner.1) };
        decide(&options, Wanted { user, group }, owner, &Village).unwrap()
    }

    #[test]
    fn users_follow_the_table() {
        let (alices, roots, strangers) = ((1000, 1000), (0, 0), (777, 777));
        let table = [
            // switching, passenger_user, owner of the startup file, user, why
            (false, Some("alice"), alices, "nobody", Why::NoSwitching),
            (false, None, alices, "nobody", Why::NoSwitching),
            (true, Some("alice"), roots, "alice", Why::Directive),
            (true, Some("root"), alices, "nobody", Why::NeverRoot),
            (true, Some("mallory"), alices, "nobody", Why::NoSuchUser),
            (true, None, alices, "alice", Why::Owner),
            (true, None, roots, "nobody", Why::NeverRoot),
            (true, None, strangers, "nobody", Why::NoSuchOwner),
        ];
        for (switching, directive, owner, expected, why) in table {
            let found = run_as(switching, directive, None, owner);
            assert_eq!(
                (&*found.user.name, found.why),
                (expected, why),
                "{switching} {directive:?} {owner:?}"
            );
        }
    }

    #[test]
    fn groups_follow_the_table() {
        const NOGROUP: u32 = 65534;
        let table = [
            // passenger_user, passenger_group, owner of the startup file, group
            (None, Some("web"), (1000, 1000), 33),
            (None, Some("strangers"), (1000, 1000), NOGROUP),
            (None, Some("root"), (1000, 1000), NOGROUP),
            (None, Some("!STARTUP_FILE!"), (1000, 70), 70),
            (None, Some("!STARTUP_FILE!"), (1000, 4711), NOGROUP),
            (None, Some("!STARTUP_FILE!"), (1000, 0), NOGROUP),
            (None, None, (1000, 70), 1000),
            (Some("bob"), None, (1000, 1000), NOGROUP),
            (Some("carol"), None, (1000, 1000), NOGROUP),
            (Some("mallory"), None, (1000, 1000), NOGROUP),
        ];
        for (user, directive, owner, expected) in table {
            let gid = run_as(true, user, directive, owner).user.gid;
            assert_eq!(gid, expected, "{user:?} {directive:?} {owner:?}");
        }
        assert_eq!(run_as(false, None, Some("web"), (1000, 1000)).user.gid, NOGROUP);
    }

    #[test]
    fn the_whole_identity_is_taken_from_the_user_and_the_group() {
        let options = UserOptions { switching: true, default_user: "nobody".into(), default_group: None };
        let owner = Owner { uid: Uid::from_raw(1000), gid: Gid::from_raw(1000) };
        let wanted = Wanted { user: None, group: Some("apps") };
        let run_as = decide(&options, wanted, owner, &Village).unwrap();
        let identity = run_as.identity.unwrap();
        assert_eq!(identity.uid.as_raw(), 1000);
        assert_eq!(identity.gid.as_raw(), 70);
        assert_eq!(identity.groups, [Gid::from_raw(70), Gid::from_raw(33)]);
    }

    #[test]
    fn a_missing_default_is_an_error_only_when_it_is_needed() {
        let mut options = UserOptions {
            switching: true,
            default_user: "nowhere".into(),
            default_group: Some("nothing".into()),
        };
        let wanted = Wanted { user: None, group: None };
        let owner = |uid| Owner { uid: Uid::from_raw(uid), gid: Gid::from_raw(1000) };
        assert_eq!(decide(&options, wanted, owner(1000), &Village).unwrap().user.name, "alice");
        let refused = decide(&options, wanted, owner(0), &Village).unwrap_err();
        assert_eq!(refused.to_string(), "the default user \"nowhere\" does not exist");
        options.default_user = "carol".into();
        let refused = decide(&options, wanted, owner(0), &Village).unwrap_err();
        assert_eq!(refused.to_string(), "the default group \"nothing\" does not exist");
    }

    #[test]
    fn without_root_everything_runs_as_the_daemon() {
        let run_as = unchanged(Uid::from_raw(777), Gid::from_raw(7), &Village).unwrap();
        assert_eq!(run_as.user, AppUser { uid: 777, gid: 7, name: "777".into() });
        assert_eq!((run_as.account, run_as.identity), (None, None));
    }
}
