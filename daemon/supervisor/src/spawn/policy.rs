//! The users and groups that apps may not have, and the exceptions that the operator allows.
//!
//! An app that can connect to nginx's socket can start any command as any other app's user, and one that has the
//! router's user or group can read all requests. Who can do so is computed from the files' state at each start.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

use common::config::AllowedIdentities;

/// What an app's user must not reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The sockets for nginx.
    pub sockets: Vec<PathBuf>,
    /// The router's user and group.
    pub router: Option<(u32, u32)>,
    /// The identities that the operator allows.
    pub allowed: AllowedIdentities,
    /// The default group in the daemon's own configuration.
    pub default_group: Option<String>,
}

/// An owner, a group and a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// A socket and the directories above it, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gate {
    pub(super) path: PathBuf,
    pub(super) socket: Access,
    pub(super) above: Vec<Access>,
    /// The directories above the path without symbolic links, where it has any.
    pub(super) behind: Vec<Access>,
}

/// The credentials that a process can have: its user, and every group that it has or can take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) uid: Uid,
    pub(super) groups: &'a [Gid],
}

/// The class of permission by which something is reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    User,
    Group(Gid),
    Everybody,
}

/// What an app can reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reached {
    /// It can connect to this socket.
    #[error("can connect to nginx's socket {0}, and so control the apps of all users")]
    Socket(PathBuf),
    /// It can replace this socket with another one.
    #[error("can replace nginx's socket {0}, and so read all requests")]
    PlaceOf(PathBuf),
    /// It can reach the sockets of all apps.
    #[error("is the router's, and so reaches the sockets of all apps")]
    Router,
}

impl Policy {
    /// Returns the part of the policy that no list of the operator overrides.
    pub(super) fn router_alone(&self) -> Self {
        Self { router: self.router, ..Self::default() }
    }

    /// Returns the sockets in their current state.
    pub(super) fn gates(&self) -> io::Result<Vec<Gate>> {
        self.sockets.iter().filter_map(|path| Gate::look(path).transpose()).collect()
    }

    /// Returns what can be reached, and by what. The caller omits allowed groups.
    pub(super) fn reached(&self, gates: &[Gate], who: Credentials<'_>) -> Option<(By, Reached)> {
        if let Some((uid, gid)) = self.router {
            if who.uid.as_raw() == uid {
                return Some((By::User, Reached::Router));
            }
            if let Some(group) = who.groups.iter().find(|group| group.as_raw() == gid) {
                return Some((By::Group(*group), Reached::Router));
            }
        }
        gates.iter().find_map(|gate| {
            let connects = gate.connects(who).map(|by| (by, Reached::Socket(gate.path.clone())));
            connects.or_else(|| gate.replaces(who).map(|by| (by, Reached::PlaceOf(gate.path.clone()))))
        })
    }
}

impl Access {
    fn of(found: &fs::Metadata) -> Self {
        Self { uid: found.uid(), gid: found.gid(), mode: found.mode() }
    }

    /// Returns by what `who` has the permission `bit`: 4, 2 or 1. An owner can change the mode.
    fn permits(self, who: Credentials<'_>, bit: u32) -> Option<By> {
        if who.uid.as_raw() == self.uid {
            return Some(By::User);
        }
        match who.groups.iter().find(|group| group.as_raw() == self.gid) {
            Some(group) => (self.mode & (bit << 3) != 0).then_some(By::Group(*group)),
            None => (self.mode & bit != 0).then_some(By::Everybody),
        }
    }
}

impl Gate {
    /// Reads the socket's current state; `None` when it does not exist.
    pub(super) fn look(path: &Path) -> io::Result<Option<Self>> {
        let socket = match fs::symlink_metadata(path) {
            Ok(found) => Access::of(&found),
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why),
        };
        let chain = |path: &Path| {
            let above = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
            above.map(|dir| fs::metadata(dir).map(|found| Access::of(&found))).collect::<io::Result<Vec<_>>>()
        };
        let above = chain(path)?;
        // Where a directory is a symbolic link, the directories that it leads through are relevant as well.
        let real = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => fs::canonicalize(parent)?.join(name),
            _ => path.to_path_buf(),
        };
        let behind = if real == path { Vec::new() } else { chain(&real)? };
        Ok(Some(Self { path: path.to_path_buf(), socket, above, behind }))
    }

    fn connects(&self, who: Credentials<'_>) -> Option<By> {
        let passes: Option<Vec<By>> = self.above.iter().map(|dir| dir.permits(who, 1)).collect();
        let by = self.socket.permits(who, 2)?;
        // When the socket is open to everybody, a directory decides.
        let decisive = |by: &By| *by != By::Everybody;
        if by == By::Everybody { passes?.into_iter().find(decisive).or(Some(by)) } else { passes.map(|_| by) }
    }

    /// Returns by what `who` can write in a directory above the socket, to rename what leads to it and create another.
    fn replaces(&self, who: Credentials<'_>) -> Option<By> {
        replaces_in(&self.above, who).or_else(|| replaces_in(&self.behind, who))
    }
}

fn replaces_in(above: &[Access], who: Credentials<'_>) -> Option<By> {
    // From the root down, as far as `who` can enter.
    let reached = above.iter().rev().take_while(|dir| dir.permits(who, 1).is_some());
    let writable = reached.filter_map(|dir| Some((dir, dir.permits(who, 2)?)));
    let sticky = |dir: &Access, by: By| dir.mode & 0o1000 != 0 && by != By::User;
    writable.filter(|(dir, by)| !sticky(dir, *by)).map(|(_, by)| by).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Access = Access { uid: 0, gid: 0, mode: 0o755 };
    const WEB: u32 = 33;

    fn gate(socket: (u32, u32, u32), above: &[Access]) -> Gate {
        let socket = Access { uid: socket.0, gid: socket.1, mode: socket.2 };
        Gate { path: "/run/s".into(), socket, above: above.to_vec(), behind: Vec::new() }
    }

    fn reached(gate: Gate, uid: u32, groups: &[u32]) -> Option<(By, Reached)> {
        let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
        let who = Credentials { uid: Uid::from_raw(uid), groups: &groups };
        Policy::default().reached(&[gate], who)
    }

    fn by(gate: Gate, uid: u32, groups: &[u32]) -> Option<By> {
        reached(gate, uid, groups).map(|(by, _)| by)
    }

    #[test]
    fn a_socket_is_open_to_its_owner_its_group_or_everybody() {
        let web = Some(By::Group(Gid::from_raw(WEB)));
        let above = [OPEN, OPEN];
        assert_eq!(by(gate((0, WEB, 0o660), &above), 1000, &[1000, WEB]), web);
        assert_eq!(by(gate((0, WEB, 0o660), &above), 1000, &[1000]), None);
        assert_eq!(
            by(gate((0, WEB, 0o640), &above), 1000, &[WEB]),
            None,
            "connecting takes the right to write"
        );
        assert_eq!(by(gate((1000, 0, 0o600), &above), 1000, &[1000]), Some(By::User));
        assert_eq!(
            by(gate((1000, 0, 0o000), &above), 1000, &[1000]),
            Some(By::User),
            "an owner changes the mode"
        );
        assert_eq!(by(gate((0, 0, 0o666), &above), 1000, &[1000]), Some(By::Everybody));
    }

    #[test]
    fn a_closed_directory_closes_the_socket() {
        let closed = Access { uid: 0, gid: WEB, mode: 0o710 };
        assert_eq!(by(gate((0, 0, 0o666), &[closed, OPEN]), 1000, &[1000]), None);
        let web = Some(By::Group(Gid::from_raw(WEB)));
        assert_eq!(by(gate((0, 0, 0o666), &[closed, OPEN]), 1000, &[WEB]), web);
        assert_eq!(by(gate((0, WEB, 0o660), &[OPEN, Access { mode: 0o700, ..OPEN }]), 1000, &[WEB]), None);
    }

    #[test]
    fn a_writable_directory_gives_access_to_the_socket() {
        let place = Some((By::User, Reached::PlaceOf("/run/s".into())));
        let shared = Access { uid: 1000, gid: 0, mode: 0o755 };
        assert_eq!(reached(gate((0, WEB, 0o660), &[shared, OPEN]), 1000, &[1000]), place);
        let everybodys = Access { mode: 0o777, ..OPEN };
        assert_eq!(by(gate((0, WEB, 0o660), &[everybodys, OPEN]), 1000, &[1000]), Some(By::Everybody));
        let sticky = Access { mode: 0o1777, ..OPEN };
        assert_eq!(by(gate((0, WEB, 0o660), &[sticky, OPEN]), 1000, &[1000]), None);
    }

    #[test]
    fn a_writable_directory_further_up_gives_access() {
        let place = Some((By::User, Reached::PlaceOf("/run/s".into())));
        let home = Access { uid: 1000, gid: 1000, mode: 0o755 };
        assert_eq!(reached(gate((0, WEB, 0o660), &[OPEN, home, OPEN]), 1000, &[1000]), place);
        let closed = Access { mode: 0o700, ..OPEN };
        assert_eq!(reached(gate((0, WEB, 0o660), &[closed, home, OPEN]), 1000, &[1000]), place);
        assert_eq!(
            by(gate((0, WEB, 0o660), &[OPEN, home, closed]), 1000, &[1000]),
            None,
            "it does not come there"
        );
        assert_eq!(by(gate((0, WEB, 0o660), &[OPEN, home, OPEN]), 1001, &[1001]), None, "of another user");
        let sticky = Access { mode: 0o1777, ..OPEN };
        assert_eq!(by(gate((0, WEB, 0o660), &[OPEN, sticky, OPEN]), 1000, &[1000]), None);
        let linked = Gate { behind: vec![OPEN, home, OPEN], ..gate((0, WEB, 0o660), &[OPEN, OPEN]) };
        assert_eq!(reached(linked, 1000, &[1000]), place);
    }

    #[test]
    fn the_routers_user_and_group_are_its_own() {
        let policy = Policy { router: Some((998, 997)), ..Policy::default() };
        let reached = |uid, group| {
            let groups = [Gid::from_raw(group)];
            policy.reached(&[], Credentials { uid: Uid::from_raw(uid), groups: &groups }).map(|(by, _)| by)
        };
        assert_eq!(reached(998, 1000), Some(By::User));
        assert_eq!(reached(1000, 997), Some(By::Group(Gid::from_raw(997))));
        assert_eq!(reached(997, 998), None);
    }
}
