//! Options of nginx's configuration that affect the supervisor, received from the router, checked and applied.
//!
//! The router is not trusted with root's rights: it may set a default user, which an app may request anyway, but never
//! root.

use std::io;

use super::process::RouterProcess;
use crate::Supervisor;
use crate::lifecycle::rlimits::OpenFiles;
use crate::spawn::ResolvedApp;
use common::config::UserOptions;
use common::config::shared::Values;
use common::link::{Adjustment, Notice, Overruled};
use common::log;

/// The minimum with which the daemon can work.
const LEAST_OPEN_FILES: u64 = 64;
/// Maximum pool size unless the daemon's own configuration sets another: more than the app processes of any machine.
const LARGEST_POOL: usize = 1024;
/// Maximum number of remembered warnings about apps, each of which is logged once.
const MOST_WARNINGS: usize = 1024;

impl Supervisor {
    pub(super) fn adjust(&mut self, adjustment: Adjustment) {
        let Adjustment { log_level, max_pool_size, user_switching, default_user, default_group, .. } =
            adjustment;
        self.globals = adjustment.globals;
        self.app_prefix = adjustment.app_prefix;
        self.max_pool_size = self.bounded_pool(max_pool_size);
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
        self.want_users(users);
        if !self.overruled.is_empty() {
            self.tell_router(&Notice::Overruled(self.overruled.clone()), &[]);
        }
    }

    /// Records that nginx's value of an option is not applied, and the value in effect.
    pub(crate) fn overrule(&mut self, name: &str, value: String) {
        self.overruled.push(Overruled { name: name.to_owned(), value });
    }

    /// Limits the pool size sent by the router, which bounds how many processes the router can start.
    fn bounded_pool(&self, wanted: usize) -> usize {
        let own = Values(&self.options.shared);
        if own.given("max_pool_size") {
            return usize::try_from(own.number("max_pool_size")).unwrap_or(LARGEST_POOL);
        }
        if wanted > LARGEST_POOL {
            tracing::warn!(
                "at most {} processes are started at a time, not {wanted} as the router says: give the daemon \
                 --max-pool-size for more",
                LARGEST_POOL
            );
        }
        wanted.min(LARGEST_POOL)
    }

    fn set_backlog(&mut self, wanted: u64) {
        if let Err(why) = self.nginx.set_backlog(wanted) {
            tracing::warn!("the backlog of the socket for nginx stays: {why}");
        }
    }

    /// Applies to this process and its router; apps get the limit with which the daemon was started.
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
        let router = self.routers.running().map(RouterProcess::child);
        let limited = router.map_or(Ok(()), |child| child.limit_open_files(limit.soft, limit.hard));
        if let Err(why) = limited {
            tracing::debug!("the router is asked to limit its open files itself: {why}");
            self.tell_router(&Notice::OpenFiles(limit.soft), &[]);
        }
    }

    /// Sets the default user and group. Only root can switch users, so otherwise the names have no effect. A lookup may
    /// need the network; until it is complete, each start of an app checks the names itself.
    fn want_users(&mut self, users: UserOptions) {
        self.launcher.wanted_users = None;
        if !nix::unistd::geteuid().is_root() || users == self.launcher.users {
            self.launcher.users = users;
        } else {
            self.launcher.wanted_users = Some(users.clone());
            self.check_users(users);
        }
    }

    /// Handles the result of the check of nginx's default user and group.
    pub(crate) fn users_checked(&mut self, users: UserOptions, checked: Result<(), String>) {
        if self.launcher.wanted_users.as_ref() != Some(&users) {
            return;
        }
        self.launcher.wanted_users = None;
        match checked {
            Ok(()) => self.launcher.users = users,
            Err(why) => {
                tracing::warn!("ignoring the default user and group of nginx's configuration: {why}");
                let UserOptions { default_user, default_group, .. } = self.launcher.users.clone();
                self.overrule("default_user", default_user);
                self.overrule("default_group", default_group.unwrap_or_default());
                self.tell_router(&Notice::Overruled(self.overruled.clone()), &[]);
            }
        }
    }

    /// Logs warnings about the users of apps, each once.
    pub(crate) fn warn_of_users(&mut self, app: &str, resolved: &ResolvedApp) {
        for warning in resolved.warnings() {
            self.warn_once(app, warning);
        }
    }

    /// Logs a warning about an app, once in the life of the daemon.
    pub(crate) fn warn_once(&mut self, app: &str, warning: String) {
        if self.warnings.len() < MOST_WARNINGS && self.warnings.insert(warning.clone()) {
            tracing::warn!("{app}: {warning}");
        }
    }
}

/// Logs the result of setting the limit of open files.
pub(crate) fn tell_open_files(wanted: u64, reached: io::Result<u64>) {
    match reached {
        Ok(reached) if reached < wanted => tracing::warn!(
            "the daemon may have {reached} files open, not {wanted}: its hard limit, or fs.nr_open, allows no more \
             (ulimit -Hn, or systemd's LimitNOFILE=)"
        ),
        Ok(reached) => tracing::info!("the daemon may have {reached} files open"),
        Err(why) => tracing::warn!("the daemon's limit of open files stays: {why}"),
    }
}
