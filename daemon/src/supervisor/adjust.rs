//! What nginx's configuration changes in the supervisor: the router's word comes in, checked, and is put to work.
//!
//! The router cannot be trusted with root's rights: it may name a default user, which an app may ask for anyway, but
//! never root.

use super::Supervisor;
use crate::config::UserOptions;
use crate::link::Adjustment;
use crate::log;
use crate::sys::accounts;

impl Supervisor {
    pub(super) fn adjust(&mut self, adjustment: Adjustment) {
        let Adjustment { log_level, max_pool_size, user_switching, default_user, default_group, globals } =
            adjustment;
        self.globals = globals;
        self.options.pool.max_size = max_pool_size;
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
            Err(why) => tracing::warn!("nginx's default user and group do not count: {why}"),
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
