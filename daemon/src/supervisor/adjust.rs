//! What nginx's configuration changes in the supervisor: the router's word comes in, checked, and is put to work.
//!
//! The router cannot be trusted with root's rights: it may name a default user, which an app may ask for anyway, but
//! never root.

use std::io;

use super::Supervisor;
use super::limits::OpenFiles;
use super::router_process::Router;
use crate::config::UserOptions;
use crate::link::{Adjustment, Notice, Overruled};
use crate::log;
use crate::sys::accounts;

/// With fewer the daemon could not work.
const LEAST_OPEN_FILES: u64 = 64;

impl Supervisor {
    pub(super) fn adjust(&mut self, adjustment: Adjustment) {
        let Adjustment { log_level, max_pool_size, user_switching, default_user, default_group, .. } =
            adjustment;
        self.globals = adjustment.globals;
        self.max_pool_size = max_pool_size;
        self.overruled.clear();
        self.set_log_file(&adjustment.log_file);
        self.set_backlog(adjustment.socket_backlog);
        self.set_open_files(adjustment.open_files);
        match log_level.parse() {
            Ok(level) => {
                self.options.log_level = level;
                self.plan.set_log_level(level);
                log::set_level(level);
            }
            Err(why) => tracing::warn!("the log level stays: \"{log_level}\" {why}"),
        }
        let default_group = Some(default_group).filter(|name| !name.is_empty());
        let users = UserOptions { switching: user_switching, default_user, default_group };
        match self.check(&users) {
            Ok(()) => self.launcher.users = users,
            Err(why) => {
                tracing::warn!("nginx's default user and group do not count: {why}");
                let UserOptions { default_user, default_group, .. } = self.launcher.users.clone();
                self.overrule("default_user", default_user);
                self.overrule("default_group", default_group.unwrap_or_default());
            }
        }
        if !self.overruled.is_empty() {
            self.tell_router(&Notice::Overruled(self.overruled.clone()), &[]);
        }
    }

    /// Keeps in mind that nginx's word for an option is not followed, but this is in effect.
    pub(super) fn overrule(&mut self, name: &str, value: String) {
        self.overruled.push(Overruled { name: name.to_owned(), value });
    }

    fn set_backlog(&mut self, wanted: u64) {
        if let Err(why) = self.nginx.set_backlog(wanted) {
            tracing::warn!("the backlog of the socket for nginx stays: {why}");
        }
    }

    /// For this process and its router; apps get what the daemon was started with.
    fn set_open_files(&mut self, wanted: u64) {
        if wanted == self.open_files_wanted || (1..LEAST_OPEN_FILES).contains(&wanted) {
            return;
        }
        self.open_files_wanted = wanted;
        let reached = self.launcher.originals.limit_open_files(wanted);
        if let Ok(limit) = &reached {
            self.limit_router(*limit);
        }
        tell_open_files(wanted, reached.map(|limit| limit.soft));
    }

    fn limit_router(&mut self, limit: OpenFiles) {
        let router = self.routers.running().map(Router::child);
        let limited = router.map_or(Ok(()), |child| child.limit_open_files(limit.soft, limit.hard));
        if let Err(why) = limited {
            tracing::debug!("the router is asked to limit its open files itself: {why}");
            self.tell_router(&Notice::OpenFiles(limit.soft), &[]);
        }
    }

    /// Only root can switch users, so that for anybody else the names mean nothing.
    fn check(&self, users: &UserOptions) -> Result<(), String> {
        if !nix::unistd::geteuid().is_root() || *users == self.launcher.users {
            return Ok(());
        }
        let name = &users.default_user;
        match accounts::user_named(name) {
            Ok(Some(account)) if account.uid.is_root() => return Err("root does not run apps".to_owned()),
            Ok(Some(_)) => {}
            Ok(None) => return Err(format!("there is no user \"{name}\"")),
            Err(why) => return Err(why.to_string()),
        }
        let Some(group) = &users.default_group else { return Ok(()) };
        match accounts::group_named(group) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("there is no group \"{group}\"")),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// What became of a limit that somebody has set.
pub(super) fn tell_open_files(wanted: u64, reached: io::Result<u64>) {
    match reached {
        Ok(reached) if reached < wanted => tracing::warn!(
            "the daemon may have {reached} files open, not {wanted}: its hard limit, or fs.nr_open, allows no more \
             (ulimit -Hn, or systemd's LimitNOFILE=)"
        ),
        Ok(reached) => tracing::info!("the daemon may have {reached} files open"),
        Err(why) => tracing::warn!("the daemon's limit of open files stays: {why}"),
    }
}
