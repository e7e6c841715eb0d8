//! What the router may learn about an app's files: only what is visible to a user that it could have the app run as.
//! What is absent and what that user cannot reach get the same answer; the exact reason is for the supervisor's log.
//!
//! The kernel checks each access with the rights of that user.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use nix::unistd::{self, Gid, Uid};
use serde::{Deserialize, Serialize};

use super::app_files::{self, AppFiles, AppFilesError};
use super::decide;
use super::precheck::{Found, Precheck, ResolvedApp};
use super::user::{Owner, Wanted, Why};
use common::config::UserOptions;
use common::sys::identity::{Identity, with_file_rights_of};

/// User and group without any rights, for when the default user cannot be used.
const NOBODY: u32 = 65534;
const ROOT: Owner = Owner { uid: Uid::from_raw(0), gid: Gid::from_raw(0) };

/// Why an app is not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// The reason for the router.
    pub(crate) public: String,
    /// The reason for the supervisor's log, where that is more.
    pub(crate) exact: Option<String>,
}

impl Refusal {
    /// Creates a refusal whose reason the router may know.
    pub(crate) fn public(public: String) -> Self {
        Self { public, exact: None }
    }
}

/// A user whose view the router may share.
struct Viewer {
    name: String,
    identity: Identity,
    /// Whether `passenger_user` names it, so that it is the app's user regardless of who owns the files.
    is_named: bool,
}

/// Answers `precheck`.
pub(crate) fn answer(precheck: &Precheck) -> Result<ResolvedApp, Refusal> {
    let Found { place, users, resolved } = precheck.look();
    if !unistd::geteuid().is_root() {
        return resolved.and_then(|resolved| precheck.add_variables(resolved)).map_err(Refusal::public);
    }
    let exact = match resolved {
        Ok(resolved) => {
            let closed = match &resolved.run_as.identity {
                Some(identity) if see(identity, precheck).ok() == place => {
                    return precheck.add_variables(resolved).map_err(Refusal::public);
                }
                Some(identity) => closed_directory(identity, precheck.paths.entry()),
                None => precheck.root().to_path_buf(),
            };
            cannot_enter(&resolved.run_as.user.name, &closed)
        }
        Err(why) => why,
    };
    let viewer = viewer(precheck, users);
    let public = match (see(&viewer.identity, precheck), place) {
        (Ok(seen), Some(place)) if seen == place => return Err(Refusal::public(exact)),
        (Err(why), None) if !why.is_closed() => why.to_string(),
        (_, None) => seen_by_owner(precheck, users).unwrap_or_else(|| viewer.withheld(precheck)),
        (_, Some(_)) => viewer.withheld(precheck),
    };
    let exact = (exact != public).then_some(exact);
    Err(Refusal { public, exact })
}

/// Returns what `identity` sees of the app.
fn see(identity: &Identity, precheck: &Precheck) -> Result<AppFiles, AppFilesError> {
    let closed = |why: &dyn Display| {
        let why = std::io::Error::new(std::io::ErrorKind::PermissionDenied, why.to_string());
        AppFilesError::Unreadable(precheck.root().to_path_buf(), why)
    };
    with_file_rights_of(identity, || AppFiles::look(&precheck.paths)).unwrap_or_else(|why| Err(closed(&why)))
}

/// Returns the user of `passenger_user`, or else the default user: the owner of the files does not affect the choice.
fn viewer(precheck: &Precheck, users: &UserOptions) -> Viewer {
    let (user, group) = (precheck.user.as_deref(), precheck.group.as_deref());
    let wanted = [(user, group), (user, None), (None, None)].map(|(user, group)| Wanted { user, group });
    let decided = wanted.into_iter().find_map(|wanted| decide(users, wanted, ROOT, &precheck.policy).ok());
    let decided = decided.and_then(|run_as| {
        let is_named = run_as.why == Why::Directive;
        Some(Viewer { name: run_as.user.name, identity: run_as.identity?, is_named })
    });
    let nobody = Identity { uid: Uid::from_raw(NOBODY), gid: Gid::from_raw(NOBODY), groups: Vec::new() };
    decided.unwrap_or_else(|| Viewer { name: NOBODY.to_string(), identity: nobody, is_named: false })
}

/// Returns what is missing as seen by the owner of the directory that lacks it: an app there could run as that owner.
fn seen_by_owner(precheck: &Precheck, users: &UserOptions) -> Option<String> {
    let owner = precheck.paths.entry().ancestors().skip(1).find_map(|dir| app_files::owner(dir).ok())?;
    let nobody = Wanted { user: None, group: None };
    let run_as =
        decide(users, nobody, owner, &precheck.policy).ok().filter(|run_as| run_as.why == Why::Owner)?;
    let why = see(&run_as.identity?, precheck).err()?;
    (!why.is_closed()).then(|| why.to_string())
}

impl Viewer {
    /// Returns the same sentence regardless of what is behind the closed directory.
    fn withheld(&self, precheck: &Precheck) -> String {
        let closed = cannot_enter(&self.name, &closed_directory(&self.identity, precheck.paths.entry()));
        if self.is_named {
            return closed;
        }
        format!("{closed}; if an app of another user is in it, the daemon's log has the reason")
    }
}

fn cannot_enter(name: &str, directory: &Path) -> String {
    format!("the user \"{name}\" cannot enter the directory {}: Permission denied", directory.display())
}

/// Returns the first directory on the path closed to `identity`; the last one when a symlink leads through others.
fn closed_directory(identity: &Identity, file: &Path) -> PathBuf {
    let way: Vec<&Path> = file.ancestors().skip(1).collect();
    let is_closed = |dir: &&&Path| {
        // The dot requires the permission to enter.
        let entered = dir.join(".").metadata();
        entered.is_err_and(|why| why.kind() == std::io::ErrorKind::PermissionDenied)
    };
    let first =
        with_file_rights_of(identity, || way.iter().rev().find(is_closed).map(|dir| dir.to_path_buf()));
    first.ok().flatten().unwrap_or_else(|| way.first().map_or(file, |dir| dir).to_path_buf())
}
