//! The router's user, and the users and groups that the operator allows apps to have.

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, ConfigErrors};
use super::own_settings::OwnValues;
use super::socket::SocketOptions;
use super::{group_must_exist, user_must_exist};
use crate::sys::accounts::{self, Account};

/// The default user of the router. Created by the packages of this project; it runs nothing else.
pub const ROUTER_USER: &str = "flying-passenger";
/// The command that creates it.
pub const MAKE_ROUTER_USER: &str = "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell \
     /usr/sbin/nologin flying-passenger";
/// Users that run programs of others or own their files.
const SHARED_USERS: [&str; 5] = ["daemon", "nobody", "www-data", "nginx", "http"];
/// The wildcard for every user or group.
const ALL: &str = "*";

/// Users and groups that apps may have although the daemon would otherwise refuse them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedIdentities {
    /// Names of users.
    pub users: Vec<String>,
    /// Names of groups.
    pub groups: Vec<String>,
}

impl AllowedIdentities {
    /// Whether the user is allowed.
    pub fn has_user(&self, name: &str) -> bool {
        self.users.iter().any(|user| user == name || user == ALL)
    }

    /// Whether every group is allowed.
    pub fn has_all_groups(&self) -> bool {
        self.groups.iter().any(|group| group == ALL)
    }
}

/// Returns the lists of the flags. Finds typing errors only: names are looked up again at each start of an app.
pub(super) fn allowed(values: &OwnValues, euid: Uid, errors: &mut ConfigErrors) -> AllowedIdentities {
    const USERS: &str = "--allow-app-users";
    const GROUPS: &str = "--allow-app-groups";
    let users = list(values.text("allow_app_users"));
    let groups = list(values.text("allow_app_groups"));
    if euid.is_root() {
        for user in users.iter().filter(|user| *user != ALL) {
            let account = errors.note(user_must_exist(USERS, user));
            if account.is_some_and(|account| account.uid.is_root()) {
                errors.push(ConfigError::new(USERS, "must not contain root"));
            }
        }
        for group in groups.iter().filter(|group| *group != ALL) {
            let gid = errors.note(group_must_exist(GROUPS, group));
            if gid.is_some_and(|gid| gid.as_raw() == 0) {
                errors.push(ConfigError::new(GROUPS, "must not contain group 0"));
            }
        }
    }
    AllowedIdentities { users, groups }
}

/// Returns the names of a comma-separated list.
pub(super) fn list(text: Option<&str>) -> Vec<String> {
    let names = text.unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Returns the router's user, which must not be root or run anything else; `None` without root, who alone can switch.
pub(super) fn router_user(name: Option<&str>, euid: Uid) -> Result<Option<Account>, ConfigError> {
    const OPTION: &str = "--router-user";
    if !euid.is_root() {
        return Ok(None);
    }
    let found =
        accounts::user_named(name.unwrap_or(ROUTER_USER)).map_err(|why| ConfigError::new(OPTION, why))?;
    let make = format!("create one with: {MAKE_ROUTER_USER}");
    let Some(account) = found else {
        let name = name.unwrap_or(ROUTER_USER);
        let why = format!("unknown user \"{name}\"; the router needs a separate user: {make}");
        return Err(ConfigError::new(OPTION, why));
    };
    if account.uid.is_root() || account.gid.as_raw() == 0 {
        return Err(ConfigError::new(OPTION, "the router must not run as root or with group 0"));
    }
    if SHARED_USERS.contains(&account.name.as_str()) {
        let name = &account.name;
        let why = format!("\"{name}\" also runs other programs; the router needs a separate user: {make}");
        return Err(ConfigError::new(OPTION, why));
    }
    Ok(Some(account))
}

/// Checks that the router's user and group are not those of the socket for nginx.
pub(super) fn apart(router: Option<&Account>, socket: &SocketOptions) -> Result<(), ConfigError> {
    let Some(router) = router else { return Ok(()) };
    if socket.owner == Some(router.uid) || socket.group == Some(router.gid) {
        let why = format!(
            "\"{}\" can connect to the socket for nginx; the router needs another user and group",
            router.name
        );
        return Err(ConfigError::new("--router-user", why));
    }
    Ok(())
}
