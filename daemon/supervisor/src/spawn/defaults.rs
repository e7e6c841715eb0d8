//! Lookups that note whether an app depends on nginx's default user and group, before these are known to be usable:
//! looking them up may take as long as a network does, and apps with their own users do not wait for it.

use std::cell::Cell;

use nix::unistd::Gid;

use super::user::Directory;
use common::config::UserOptions;
use common::sys::accounts::{self, Account, LookupError};

/// The system's user database, noting whether the default user or group was looked up.
pub(super) struct Noting<'a> {
    defaults: &'a UserOptions,
    asked: Cell<bool>,
}

impl<'a> Noting<'a> {
    pub(super) fn new(defaults: &'a UserOptions) -> Self {
        Self { defaults, asked: Cell::new(false) }
    }

    /// Whether one of the defaults was looked up.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.get()
    }
}

impl Directory for Noting<'_> {
    fn user_named(&self, name: &str) -> Result<Option<Account>, LookupError> {
        self.asked.set(self.asked.get() || name == self.defaults.default_user);
        accounts::user_named(name)
    }

    fn group_named(&self, name: &str) -> Result<Option<Gid>, LookupError> {
        self.asked.set(self.asked.get() || self.defaults.default_group.as_deref() == Some(name));
        accounts::group_named(name)
    }
}
