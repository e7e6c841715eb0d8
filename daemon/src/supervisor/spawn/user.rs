//! Whom an app process runs as: the sandboxing rules.
//!
//! In come the directives, the owner of the startup file and a way to look up names; out comes one user. It changes
//! nothing. The owner is the one of the file itself: a symlink's own, not its target's.

use std::fmt;

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::policy::{By, Credentials, Gate, Policy, Reached};
use crate::config::UserOptions;
use crate::link::AppUser;
use crate::sys::accounts::{self, Account, LookupError};
use crate::sys::identity::Identity;

/// As `passenger_group`: the group of the startup file.
const GROUP_OF_STARTUP_FILE: &str = "!STARTUP_FILE!";
/// Groups with a lower number are the system's: whoever may name a startup file could otherwise have that of a file of
/// the system, such as /etc/shadow.
const FIRST_ORDINARY_GROUP: u32 = 1000;
/// Their members can become root, or read and write what is root's.
const AS_GOOD_AS_ROOT: [&str; 10] =
    ["disk", "docker", "incus", "kmem", "libvirt", "lxd", "root", "shadow", "sudo", "wheel"];

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
    /// What the operator should know about this user.
    pub(super) warnings: Vec<String>,
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
    /// The default user is root.
    Root(String),
    /// The only group for this user is that of root.
    RootGroup(String),
    /// The group is neither the user's nor allowed.
    Group { user: String, group: String },
    /// The user, or the group if there is one, reaches what no app may reach.
    Reaches { user: String, group: Option<String>, what: Reached },
    /// The system does not answer.
    Lookup(LookupError),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefaultUser(name) => write!(f, "the default user \"{name}\" does not exist"),
            Self::NoDefaultGroup(name) => write!(f, "the default group \"{name}\" does not exist"),
            Self::Root(name) => write!(f, "the default user \"{name}\" is root, and root does not run apps"),
            Self::RootGroup(user) => write!(
                f,
                "the app would run as user \"{user}\" with group 0, and group 0 is for root alone: give the user \
                 another primary group, or name another default group"
            ),
            Self::Group { user, group } => write!(
                f,
                "the app would run as user \"{user}\" with the group \"{group}\", of which the user is not a member: \
                 add the user to the group (adduser {user} {group}), remove passenger_group, or start the daemon with \
                 --allow-app-groups={group}"
            ),
            Self::Reaches { user, group, what } => refuse_reaching(f, user, group.as_deref(), what),
            Self::Lookup(why) => why.fmt(f),
        }
    }
}

fn refuse_reaching(
    f: &mut fmt::Formatter<'_>,
    user: &str,
    group: Option<&str>,
    what: &Reached,
) -> fmt::Result {
    write!(f, "the app would run as user \"{user}\"")?;
    match group {
        Some(group) => write!(f, ", whose group \"{group}\" {what}")?,
        None => write!(f, ", which {what}")?,
    }
    f.write_str(
        ": give the app to a user of its own (chown -R USER the app's directory, or passenger_user USER)",
    )?;
    match (what, group) {
        (Reached::Router, _) => Ok(()),
        (_, Some(group)) => write!(
            f,
            ", or, if this app is trusted with all others, start the daemon with --allow-app-users={user} or \
             --allow-app-groups={group}"
        ),
        (_, None) => write!(
            f,
            ", or, if this app is trusted with all others, start the daemon with --allow-app-users={user}"
        ),
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
    fn group_numbered(&self, gid: Gid) -> Result<Option<String>, LookupError>;
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

    fn group_numbered(&self, gid: Gid) -> Result<Option<String>, LookupError> {
        accounts::group_numbered(gid)
    }

    fn groups_of(&self, user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
        accounts::groups_of(user, primary)
    }
}

/// What is known of an app before its user is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) wanted: Wanted<'a>,
    pub(super) owner: Owner,
    pub(super) policy: &'a Policy,
    /// The sockets of the policy, as they are.
    pub(super) gates: &'a [Gate],
}

/// The user for an app, for a daemon that is root. Never user 0, never group 0, and nothing that the policy forbids.
pub(super) fn decide(
    options: &UserOptions,
    asked: Asked<'_>,
    directory: &impl Directory,
) -> Result<RunAs, UserError> {
    let Asked { wanted, owner, policy, gates } = asked;
    let (account, why) = choose_user(options, wanted.user, owner, directory)?;
    if account.uid.is_root() {
        return Err(UserError::Root(account.name));
    }
    let (gid, is_default) = choose_group(options, wanted.group, owner, &account, directory)?;
    if is_root(gid) {
        return Err(UserError::RootGroup(account.name));
    }
    // All that the system lets this user have: with newgrp, a process can take its user's primary group.
    let own = directory.groups_of(&account.name, account.gid)?;
    let mut allowed = allowed_groups(policy, directory)?;
    if policy.allowed.has_all_groups() {
        allowed.extend(own.iter().chain([&gid]));
    }
    if !own.contains(&gid) && !allowed.contains(&gid) {
        let by_file = gid == owner.gid && gid.as_raw() >= FIRST_ORDINARY_GROUP;
        let by_default = is_default && is_default_group(options, policy, gid, directory)?;
        if !by_file && !by_default {
            return Err(UserError::Group { user: account.name, group: name_of(gid, directory)? });
        }
    }
    let mut groups = directory.groups_of(&account.name, gid)?;
    groups.retain(|group| !is_root(*group));
    let possible: Vec<_> = own.iter().chain(&groups).chain([&gid]).copied().collect();
    if !policy.allowed.has_user(&account.name) {
        let not_allowed: Vec<_> = possible.iter().filter(|group| !allowed.contains(group)).copied().collect();
        check_reach(policy, gates, &account, &not_allowed, directory)?;
    }
    check_reach(&policy.router_alone(), &[], &account, &possible, directory)?;
    Ok(RunAs {
        user: AppUser { uid: account.uid.as_raw(), gid: gid.as_raw(), name: account.name.clone() },
        warnings: warnings(&account.name, &possible, directory)?,
        identity: Some(Identity { uid: account.uid, gid, groups }),
        account: Some(account),
        why,
    })
}

/// Whether these can be the default user and group.
pub(super) fn check_defaults(
    options: &UserOptions,
    policy: &Policy,
    directory: &impl Directory,
) -> Result<(), String> {
    let text = |why: LookupError| why.to_string();
    let name = &options.default_user;
    let user = directory.user_named(name).map_err(text)?;
    let user = user.ok_or_else(|| format!("there is no user \"{name}\""))?;
    if user.uid.is_root() {
        return Err("root does not run apps".to_owned());
    }
    let Some(group) = &options.default_group else {
        return if is_root(user.gid) {
            Err(format!("the primary group of \"{name}\" is 0, and group 0 is for root alone"))
        } else {
            Ok(())
        };
    };
    let gid = directory.group_named(group).map_err(text)?;
    let gid = gid.ok_or_else(|| format!("there is no group \"{group}\""))?;
    if is_root(gid) {
        return Err(format!("the group \"{group}\" is 0, and group 0 is for root alone"));
    }
    let allowed = allowed_groups(policy, directory).map_err(text)?.contains(&gid);
    if allowed
        || policy.allowed.has_all_groups()
        || is_default_group(options, policy, gid, directory).map_err(text)?
    {
        return Ok(());
    }
    Err(format!(
        "\"{name}\" is not a member of the group \"{group}\": add it (adduser {name} {group}), or start the daemon \
         with --allow-app-groups={group}"
    ))
}

fn is_root(gid: Gid) -> bool {
    gid.as_raw() == 0
}

/// The groups that the operator allows.
fn allowed_groups(policy: &Policy, directory: &impl Directory) -> Result<Vec<Gid>, LookupError> {
    let named = |name: &String| directory.group_named(name).transpose();
    policy.allowed.groups.iter().filter_map(named).collect()
}

/// The group is one of the default user's, or the one that the daemon's own configuration names.
fn is_default_group(
    options: &UserOptions,
    policy: &Policy,
    gid: Gid,
    directory: &impl Directory,
) -> Result<bool, LookupError> {
    let own = policy.default_group.as_ref().map(|name| directory.group_named(name)).transpose()?;
    if own.flatten() == Some(gid) {
        return Ok(true);
    }
    let Some(user) = directory.user_named(&options.default_user)? else { return Ok(false) };
    Ok(directory.groups_of(&user.name, user.gid)?.contains(&gid))
}

fn check_reach(
    policy: &Policy,
    gates: &[Gate],
    user: &Account,
    groups: &[Gid],
    directory: &impl Directory,
) -> Result<(), UserError> {
    let Some((by, what)) = policy.reached(gates, Credentials { uid: user.uid, groups }) else {
        return Ok(());
    };
    let group = match by {
        By::Group(gid) => Some(name_of(gid, directory)?),
        By::User | By::Everybody => None,
    };
    Err(UserError::Reaches { user: user.name.clone(), group, what })
}

/// Groups that the system's configuration gives the user, and that are as good as root's rights.
fn warnings(user: &str, groups: &[Gid], directory: &impl Directory) -> Result<Vec<String>, LookupError> {
    let mut warnings = Vec::new();
    for gid in groups {
        let name = name_of(*gid, directory)?;
        let warning = (is_root(*gid) || AS_GOOD_AS_ROOT.contains(&name.as_str())).then(|| {
            format!(
                "apps run as user \"{user}\", which is a member of the group \"{name}\" and so can gain rights of \
                 root: remove the user from the group (deluser {user} {name}), or give the apps to another user"
            )
        });
        warnings.extend(warning.filter(|warning| !warnings.contains(warning)));
    }
    Ok(warnings)
}

fn name_of(gid: Gid, directory: &impl Directory) -> Result<String, LookupError> {
    Ok(directory.group_numbered(gid)?.unwrap_or_else(|| gid.to_string()))
}

/// The user for every app, for a daemon that is not root: its own.
pub(super) fn unchanged(uid: Uid, gid: Gid, directory: &impl Directory) -> Result<RunAs, UserError> {
    let account = directory.user_numbered(uid)?;
    let name = account.as_ref().map_or_else(|| uid.to_string(), |account| account.name.clone());
    let user = AppUser { uid: uid.as_raw(), gid: gid.as_raw(), name };
    Ok(RunAs { user, account, identity: None, why: Why::NotRoot, warnings: Vec::new() })
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

/// The group, and whether it is the default one.
fn choose_group(
    options: &UserOptions,
    directive: Option<&str>,
    owner: Owner,
    user: &Account,
    directory: &impl Directory,
) -> Result<(Gid, bool), UserError> {
    let found = match (options.switching, directive) {
        (false, _) => None,
        (true, Some(GROUP_OF_STARTUP_FILE)) => existing(owner.gid, directory)?,
        (true, Some(name)) => directory.group_named(name)?,
        (true, None) => existing(user.gid, directory)?,
    };
    match found.filter(|gid| !is_root(*gid)) {
        Some(gid) => Ok((gid, false)),
        None => Ok((default_group(options, directory)?, true)),
    }
}

fn existing(gid: Gid, directory: &impl Directory) -> Result<Option<Gid>, LookupError> {
    Ok(directory.group_numbered(gid)?.map(|_| gid))
}

fn default_group(options: &UserOptions, directory: &impl Directory) -> Result<Gid, UserError> {
    match &options.default_group {
        Some(name) => directory.group_named(name)?.ok_or_else(|| UserError::NoDefaultGroup(name.clone())),
        None => Ok(default_user(options, directory)?.gid),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::AllowedIdentities;

    /// alice 1000:1000, bob 1001 whose group 4242 has no entry, carol 1002 whose group is root's, nobody 65534:65534.
    struct Village;

    const USERS: [(&str, u32, u32); 5] = [
        ("root", 0, 0),
        ("alice", 1000, 1000),
        ("bob", 1001, 4242),
        ("carol", 1002, 0),
        ("nobody", 65534, 65534),
    ];
    const GROUPS: [(&str, u32); 6] =
        [("root", 0), ("alice", 1000), ("web", 33), ("apps", 7000), ("shadow", 42), ("nogroup", 65534)];

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

        fn group_numbered(&self, gid: Gid) -> Result<Option<String>, LookupError> {
            let found = GROUPS.into_iter().find(|group| group.1 == gid.as_raw());
            Ok(found.map(|group| group.0.to_owned()))
        }

        fn groups_of(&self, _user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
            Ok(vec![primary, Gid::from_raw(33)])
        }
    }

    fn run_as(switching: bool, user: Option<&str>, group: Option<&str>, owner: (u32, u32)) -> RunAs {
        let options = UserOptions { switching, default_user: "nobody".into(), default_group: None };
        let owner = Owner { uid: Uid::from_raw(owner.0), gid: Gid::from_raw(owner.1) };
        decided(&options, Wanted { user, group }, owner, &Policy::default()).unwrap()
    }

    fn decided(
        options: &UserOptions,
        wanted: Wanted<'_>,
        owner: Owner,
        policy: &Policy,
    ) -> Result<RunAs, UserError> {
        decide(options, Asked { wanted, owner, policy, gates: &[] }, &Village)
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
            (None, Some("!STARTUP_FILE!"), (1000, 7000), 7000),
            (None, Some("!STARTUP_FILE!"), (1000, 4711), NOGROUP),
            (None, Some("!STARTUP_FILE!"), (1000, 0), NOGROUP),
            (None, None, (1000, 7000), 1000),
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
        let policy = Policy { allowed: groups_allowed("apps"), ..Policy::default() };
        let run_as = decided(&options, wanted, owner, &policy).unwrap();
        let identity = run_as.identity.unwrap();
        assert_eq!(identity.uid.as_raw(), 1000);
        assert_eq!(identity.gid.as_raw(), 7000);
        assert_eq!(identity.groups, [Gid::from_raw(7000), Gid::from_raw(33)]);
    }

    #[test]
    fn a_missing_default_is_an_error_only_when_it_is_needed() {
        let mut options = UserOptions {
            switching: true,
            default_user: "nowhere".into(),
            default_group: Some("nothing".into()),
        };
        let wanted = Wanted { user: None, group: None };
        let policy = Policy::default();
        let owner = |uid| Owner { uid: Uid::from_raw(uid), gid: Gid::from_raw(1000) };
        assert_eq!(decided(&options, wanted, owner(1000), &policy).unwrap().user.name, "alice");
        let refused = decided(&options, wanted, owner(0), &policy).unwrap_err();
        assert_eq!(refused.to_string(), "the default user \"nowhere\" does not exist");
        options.default_user = "carol".into();
        let refused = decided(&options, wanted, owner(0), &policy).unwrap_err();
        assert_eq!(refused.to_string(), "the default group \"nothing\" does not exist");
    }

    fn groups_allowed(name: &str) -> AllowedIdentities {
        AllowedIdentities { users: Vec::new(), groups: vec![name.to_owned()] }
    }

    #[test]
    fn a_group_is_the_users_the_files_or_the_operators() {
        let options = UserOptions { switching: true, default_user: "nobody".into(), default_group: None };
        let alices = |gid| Owner { uid: Uid::from_raw(1000), gid: Gid::from_raw(gid) };
        let gid = |group, owner, policy: &Policy| {
            let wanted = Wanted { user: Some("alice"), group: Some(group) };
            decided(&options, wanted, owner, policy).map(|run_as| run_as.user.gid)
        };
        let strict = Policy::default();
        assert_eq!(gid("web", alices(1000), &strict), Ok(33), "she is a member");
        assert_eq!(gid("apps", alices(7000), &strict), Ok(7000), "her file has it");
        let listed = Policy { allowed: groups_allowed("shadow"), ..Policy::default() };
        assert_eq!(gid("shadow", alices(1000), &listed), Ok(42));
        for (group, owner) in [("apps", 1000), ("shadow", 1000), ("shadow", 42), ("!STARTUP_FILE!", 42)] {
            let refused = gid(group, alices(owner), &strict).unwrap_err().to_string();
            assert!(refused.contains("of which the user is not a member"), "{group} {owner}: {refused}");
        }
    }

    #[test]
    fn defaults_that_cannot_be_used_are_named() {
        let check = |user: &str, group: Option<&str>, policy: &Policy| {
            let default_group = group.map(str::to_owned);
            let options = UserOptions { switching: true, default_user: user.into(), default_group };
            check_defaults(&options, policy, &Village)
        };
        let strict = Policy::default();
        assert_eq!(check("alice", None, &strict), Ok(()));
        assert_eq!(check("alice", Some("web"), &strict), Ok(()));
        for (user, group, why) in [
            ("root", None, "root does not run apps"),
            ("nowhere", None, "there is no user"),
            ("carol", None, "group 0 is for root alone"),
            ("alice", Some("root"), "group 0 is for root alone"),
            ("alice", Some("nothing"), "there is no group"),
            ("alice", Some("shadow"), "not a member"),
        ] {
            let refused = check(user, group, &strict).unwrap_err();
            assert!(refused.contains(why), "{user} {group:?}: {refused}");
        }
        let own = Policy { default_group: Some("shadow".into()), ..Policy::default() };
        assert_eq!(check("alice", Some("shadow"), &own), Ok(()));
    }

    /// Every user has one of these primary groups and is a member of the others, group 0 among them.
    struct Hostile {
        primary: u32,
        member_of: Vec<u32>,
    }

    impl Directory for Hostile {
        fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError> {
            let uid = if name == "root" { 0 } else { 1000 };
            Ok((name != "nowhere").then(|| account((name_of_user(uid), uid, self.primary))))
        }

        fn user_numbered(&self, uid: Uid) -> Result<Option<Account>, LookupError> {
            Ok(Some(account((name_of_user(uid.as_raw()), uid.as_raw(), self.primary))))
        }

        fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError> {
            Ok(name.parse().ok().map(Gid::from_raw))
        }

        fn group_numbered(&self, gid: Gid) -> Result<Option<String>, LookupError> {
            Ok(Some(gid.to_string()))
        }

        fn groups_of(&self, _user: &str, primary: Gid) -> Result<Vec<Gid>, LookupError> {
            Ok([primary].into_iter().chain(self.member_of.iter().copied().map(Gid::from_raw)).collect())
        }
    }

    fn name_of_user(uid: u32) -> &'static str {
        if uid == 0 { "root" } else { "alice" }
    }

    proptest! {
        /// Whatever the directives, the files, the defaults, the directory and the operator's lists are.
        #[test]
        fn no_source_gives_an_app_user_0_or_group_0(
            switching: bool,
            user in prop::option::of(prop::sample::select(vec!["root", "alice", "nowhere"])),
            group in prop::option::of(prop::sample::select(vec!["0", "33", "5000", "!STARTUP_FILE!", "nothing"])),
            owner in (prop::sample::select(vec![0u32, 1000]), prop::sample::select(vec![0u32, 33, 5000])),
            default_user in prop::sample::select(vec!["root", "alice", "nowhere"]),
            default_group in prop::option::of(prop::sample::select(vec!["0", "33", "nothing"])),
            primary in prop::sample::select(vec![0u32, 33, 5000]),
            member_of in prop::collection::vec(prop::sample::select(vec![0u32, 33, 42]), 0..3),
            allowed in prop::sample::select(vec!["0", "33", "*", "nothing"]),
        ) {
            let options = UserOptions {
                switching,
                default_user: default_user.into(),
                default_group: default_group.map(str::to_owned),
            };
            let owner = Owner { uid: Uid::from_raw(owner.0), gid: Gid::from_raw(owner.1) };
            let mut allowed = groups_allowed(allowed);
            allowed.users.push("*".to_owned());
            let policy = Policy { allowed, default_group: options.default_group.clone(), ..Policy::default() };
            let asked = Asked { wanted: Wanted { user, group }, owner, policy: &policy, gates: &[] };
            if let Ok(run_as) = decide(&options, asked, &Hostile { primary, member_of }) {
                let identity = run_as.identity.unwrap();
                prop_assert!(run_as.user.uid != 0 && run_as.user.gid != 0);
                prop_assert!(!identity.uid.is_root() && identity.gid.as_raw() != 0);
                prop_assert!(identity.groups.iter().all(|group| group.as_raw() != 0));
            }
        }
    }

    #[test]
    fn without_root_everything_runs_as_the_daemon() {
        let run_as = unchanged(Uid::from_raw(777), Gid::from_raw(7), &Village).unwrap();
        assert_eq!(run_as.user, AppUser { uid: 777, gid: 7, name: "777".into() });
        assert_eq!((run_as.account, run_as.identity), (None, None));
    }
}
