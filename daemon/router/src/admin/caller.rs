//! Who is calling, as the kernel says, and what they may see and change.

use crate::pool::GroupId;
use crate::state::RouterState;

/// Somebody at the administrator's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Root, or the user who started the daemon: sees and does everything.
    Administrator,
    /// A member of the status group: sees everything, and changes the apps that run as this user.
    Reader(u32),
    /// Somebody else: sees and changes the apps that run as this user.
    User(u32),
}

impl Caller {
    /// The user `uid`, in the groups `gids`, at a daemon that `admin_uid` has started and `status_gid` may look at.
    pub(super) fn of(uid: u32, gids: &[u32], admin_uid: u32, status_gid: Option<u32>) -> Self {
        if uid == 0 || uid == admin_uid {
            Self::Administrator
        } else if status_gid.is_some_and(|gid| gids.contains(&gid)) {
            Self::Reader(uid)
        } else {
            Self::User(uid)
        }
    }

    /// Somebody whom nginx lets look at the status page. The kernel has no user of this number.
    pub(super) fn of_nginx() -> Self {
        Self::Reader(u32::MAX)
    }

    /// Whether all apps are shown, and what concerns the daemon as a whole.
    pub(super) fn sees_all(self) -> bool {
        matches!(self, Self::Administrator | Self::Reader(_))
    }

    /// Whether a process that runs as `uid` is shown.
    pub(super) fn sees(self, uid: u32) -> bool {
        self.sees_all() || self.may_change(uid)
    }

    /// Whether a process that runs as `uid` may be ended, or asked.
    pub(super) fn may_change(self, uid: u32) -> bool {
        match self {
            Self::Administrator => true,
            Self::Reader(caller) | Self::User(caller) => caller == uid,
        }
    }

    /// Whether the requests of a group are shown.
    pub(super) fn sees_group(self, router: &RouterState, group: GroupId) -> bool {
        self.sees_all() || self.may_change_group(router, group)
    }

    /// True when every process of the group, of which there is at least one, runs as the caller.
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
    fn the_status_group_reads_and_changes_nothing_of_others() {
        let reader = Caller::of(1000, &[1000, 4], 500, Some(4));
        assert_eq!(reader, Caller::Reader(1000));
        assert!(reader.sees_all() && reader.sees(7) && reader.may_change(1000) && !reader.may_change(7));
    }

    #[test]
    fn a_stranger_sees_what_is_theirs() {
        let user = Caller::of(1000, &[1000, 4], 500, None);
        assert_eq!(user, Caller::User(1000));
        assert!(!user.sees_all() && user.sees(1000) && !user.sees(7) && !user.may_change(7));
    }

    #[test]
    fn root_and_the_daemons_user_administer() {
        assert_eq!(Caller::of(0, &[], 500, None), Caller::Administrator);
        assert_eq!(Caller::of(500, &[], 500, None), Caller::Administrator);
    }
}
