//! Identity of a caller of the admin socket, as given by the kernel, and what it may see and change.

use serde::Serialize;

use crate::pool::GroupId;
use crate::state::RouterState;

/// A caller of the admin socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Root, or the user who started the daemon: may see and change everything.
    Administrator,
    /// A member of the status group: may see everything, and change the apps that run as this user.
    Reader(u32),
    /// Any other user: may see and change the apps that run as this user.
    User(u32),
}

/// What a list of apps or requests contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Everything.
    All,
    /// Apps that have a process that runs as the caller.
    Own,
}

impl Scope {
    /// Returns the name, as in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Own => "own",
        }
    }
}

impl Caller {
    /// Returns the rights of user `uid` in groups `gids`; `admin_uid` started the daemon, `status_gid` may read.
    pub(super) fn of(uid: u32, gids: &[u32], admin_uid: u32, status_gid: Option<u32>) -> Self {
        if uid == 0 || uid == admin_uid {
            Self::Administrator
        } else if status_gid.is_some_and(|gid| gids.contains(&gid)) {
            Self::Reader(uid)
        } else {
            Self::User(uid)
        }
    }

    /// Returns the rights of a visitor whom nginx allows to see the status page. No user has this ID.
    pub(crate) fn of_nginx() -> Self {
        Self::Reader(u32::MAX)
    }

    /// Returns what lists contain for the caller.
    pub(super) fn scope(self) -> Scope {
        if self.sees_all() { Scope::All } else { Scope::Own }
    }

    /// Whether the caller may see all apps and the state of the daemon as a whole.
    pub(super) fn sees_all(self) -> bool {
        matches!(self, Self::Administrator | Self::Reader(_))
    }

    /// Whether the caller may see a process that runs as `uid`.
    pub(super) fn sees(self, uid: u32) -> bool {
        self.sees_all() || self.may_change(uid)
    }

    /// Whether the caller may end a process that runs as `uid`, or send it a request.
    pub(super) fn may_change(self, uid: u32) -> bool {
        match self {
            Self::Administrator => true,
            Self::Reader(caller) | Self::User(caller) => caller == uid,
        }
    }

    /// Whether the caller may see the requests of a group.
    pub(super) fn sees_group(self, router: &RouterState, group: GroupId) -> bool {
        self.sees_all() || self.may_change_group(router, group)
    }

    /// Whether the group has processes and all of them run as the caller.
    pub(super) fn may_change_group(self, router: &RouterState, group: GroupId) -> bool {
        if self == Self::Administrator {
            return true;
        }
        router.dispatcher.inspect(|pool, workers| {
            let mut of_group =
                pool.group(group).members.iter().filter_map(|slot| workers.get(slot)).peekable();
            of_group.peek().is_some() && of_group.all(|worker| self.may_change(worker.record.user.uid))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_group_reads_all_and_changes_its_own() {
        let reader = Caller::of(1000, &[1000, 4], 500, Some(4));
        assert_eq!(reader, Caller::Reader(1000));
        assert!(reader.sees_all() && reader.sees(7) && reader.may_change(1000) && !reader.may_change(7));
    }

    #[test]
    fn other_users_see_their_own_processes() {
        let user = Caller::of(1000, &[1000, 4], 500, None);
        assert_eq!(user, Caller::User(1000));
        assert!(!user.sees_all() && user.sees(1000) && !user.sees(7) && !user.may_change(7));
    }

    #[test]
    fn root_and_the_daemon_user_are_administrators() {
        assert_eq!(Caller::of(0, &[], 500, None), Caller::Administrator);
        assert_eq!(Caller::of(500, &[], 500, None), Caller::Administrator);
    }
}
