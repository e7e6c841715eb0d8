//! The user that an app process runs as: the sandboxing rules.
//!
//! The user is chosen from the directives, the owner of the startup file and lookups of names; nothing is changed. The
//! owner is that of the file itself: a symlink's own, not its target's.

use std::path::Path;

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::policy::{By, Credentials, Gate, Policy, Reached};
use common::config::UserOptions;
use common::link::AppUser;
use common::sys::accounts::{self, Account, LookupError};
use common::sys::identity::Identity;

/// Value of `passenger_group` that means the group of the startup file.
const GROUP_OF_STARTUP_FILE: &str = "!STARTUP_FILE!";
/// Groups with a lower number belong to the system: anyone who may name a startup file could otherwise obtain the group
/// of a system file, such as /etc/shadow.
const FIRST_ORDINARY_GROUP: u32 = 1000;
/// Groups whose members can become root, or read and write root's files.
const AS_GOOD_AS_ROOT: [&str; 10] =
    ["disk", "docker", "incus", "kmem", "libvirt", "lxd", "root", "shadow", "sudo", "wheel"];

/// The owner of the startup file, or of the app root of a generic app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

/// The user and group that the directives of an app name.
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
    /// For `HOME` and similar variables; `None` when the user has no entry.
    pub(super) account: Option<Account>,
    /// The identity to assume; `None` when the daemon is not root and keeps its own.
    pub(super) identity: Option<Identity>,
    /// Why it is this user.
    pub(super) why: Why,
    /// What the operator should know about this user.
    pub(super) warnings: Vec<String>,
}

impl RunAs {
    /// Returns the user's home directory.
    pub(super) fn home(&self) -> Option<&Path> {
        self.account.as_ref().map(|account| account.home.as_path())
    }
}

/// Why an app runs as its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The daemon is not root: all apps run as its own user.
    NotRoot,
    /// All apps run as the default user.
    NoSwitching,
    /// `passenger_user` names it.
    Directive,
    /// It owns the startup file, or the root of a generic app.
    Owner,
    /// It is the default user: `passenger_user` names a user that does not exist.
    NoSuchUser,
    /// It is the default user: the owner has no account.
    NoSuchOwner,
    /// It is the default user: the other one would be root.
    NeverRoot,
}

/// Why no user was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserError {
    /// The default user does not exist.
    #[error("the default user \"{0}\" does not exist")]
    NoDefaultUser(String),
    /// The default group does not exist.
    #[error("the default group \"{0}\" does not exist")]
    NoDefaultGroup(String),
    /// The default user is root.
    #[error("the default user \"{0}\" is root, and root does not run apps")]
    Root(String),
    /// The only group for this user is root's.
    #[error(
        "the app would run as user \"{0}\" with group 0, and group 0 is for root alone: give the user another primary \
         group, or name another default group"
    )]
    RootGroup(String),
    /// The group is neither the user's nor allowed.
    #[error(
        "the app would run as user \"{user}\" with the group \"{group}\", of which the user is not a member: add the \
         user to the group (adduser {user} {group}), remove passenger_group, or start the daemon with \
         --allow-app-groups={group}"
    )]
    Group { user: String, group: String },
    /// The user, or the group if there is one, can reach what no app may reach.
    #[error("{}", reaching(user, group.as_deref(), what))]
    Reaches { user: String, group: Option<String>, what: Reached },
    /// A lookup failed.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// Returns the message of [`UserError::Reaches`].
fn reaching(user: &str, group: Option<&str>, what: &Reached) -> String {
    let who = match group {
        Some(group) => format!("user \"{user}\", whose group \"{group}\" {what}"),
        None => format!("user \"{user}\", which {what}"),
    };
    let trusted = match (what, group) {
        (Reached::Router, _) => String::new(),
        (_, group) => {
            let group = group.map(|group| format!(" or --allow-app-groups={group}")).unwrap_or_default();
            format!(
                ", or, if this app is trusted with all others, start the daemon with --allow-app-users={user}{group}"
            )
        }
    };
    format!(
        "the app would run as {who}: give the app its own user (chown -R USER the app's directory, or passenger_user \
         USER){trusted}"
    )
}

/// Lookups of users and groups by name and by number, in the system's database unless overridden.
pub(super) trait Directory {
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

/// The system's user database.
pub(super) struct System;

impl Directory for System {}

/// What is known of an app before its user is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) wanted: Wanted<'a>,
    pub(super) owner: Owner,
    pub(super) policy: &'a Policy,
    /// The sockets of the policy in their current state.
    pub(super) gates: &'a [Gate],
}

/// Chooses an app's user when the daemon is root. Never user 0, never group 0, and nothing that the policy forbids.
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
    // All groups that the system lets this user have: with newgrp, a process can take its user's primary group.
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
    let mut warnings = warnings(&account.name, &possible, directory)?;
    if let (Why::NoSuchUser, Some(name)) = (why, wanted.user) {
        let user = &account.name;
        warnings.push(format!(
            "the user \"{name}\" of passenger_user does not exist, so the app runs as \"{user}\": correct passenger_user, \
             or create the user"
        ));
    }
    Ok(RunAs {
        user: AppUser { uid: account.uid.as_raw(), gid: gid.as_raw(), name: account.name.clone() },
        warnings,
        identity: Some(Identity { uid: account.uid, gid, groups }),
        account: Some(account),
        why,
    })
}

/// Checks whether these can be the default user and group.
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

/// Returns the groups that the operator allows.
fn allowed_groups(policy: &Policy, directory: &impl Directory) -> Result<Vec<Gid>, LookupError> {
    let named = |name: &String| directory.group_named(name).transpose();
    policy.allowed.groups.iter().filter_map(named).collect()
}

/// Whether the group is one of the default user's, or the one that the daemon's own configuration names.
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

/// Returns warnings about groups that the system's configuration gives the user, equivalent to root's rights.
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

/// Returns the user for every app when the daemon is not root: the daemon's own.
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

/// Returns the group, and whether it is the default one.
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
mod tests;
