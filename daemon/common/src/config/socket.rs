//! The options of the socket for nginx: its path and who may connect.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::error::{ConfigError, ConfigErrors};
use super::own_settings::OwnValues;
use super::{group_must_exist, user_must_exist};
use crate::sys::accounts;

/// Maximum length of the path of a unix socket: `sun_path` without its final NUL.
pub const MAX_SOCKET_PATH: usize = 107;

/// Groups of nginx's workers on common systems.
const NGINX_GROUPS: [&str; 2] = ["www-data", "nginx"];

/// The socket for nginx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// Its path, absolute.
    pub path: PathBuf,
    /// Its access mode.
    pub mode: u32,
    /// Its owner, if not the daemon's user.
    pub owner: Option<Uid>,
    /// Its group, if not the daemon's.
    pub group: Option<Gid>,
    /// Whether only the daemon's user and root can connect: nothing was configured, and no group was found.
    pub closed_to_nginx: bool,
}

pub(super) fn options(values: &OwnValues, euid: Uid, errors: &mut ConfigErrors) -> SocketOptions {
    let mode = values.text("socket_mode").map(|text| errors.keep(parse_mode(text)));
    let (owner, group) = match values.text("socket_owner") {
        Some(text) => errors.keep(parse_owner(text)),
        None if euid.is_root() && mode.is_none() => (None, nginx_group()),
        None => (None, None),
    };
    SocketOptions {
        path: errors.keep(socket_path(values.path("socket_file"))),
        mode: mode.unwrap_or(if group.is_some() { 0o660 } else { 0o600 }),
        closed_to_nginx: mode.is_none() && owner.is_none() && group.is_none(),
        owner,
        group,
    }
}

fn socket_path(path: Option<&Path>) -> Result<PathBuf, ConfigError> {
    const OPTION: &str = "--socket-file";
    let path = path.ok_or_else(|| {
        ConfigError::new(
            OPTION,
            "is required, or socket_file in the file of --config: the PATH of nginx's passenger_fly_with",
        )
    })?;
    let absolute = std::path::absolute(path).map_err(|why| ConfigError::new(OPTION, why))?;
    if absolute.to_str().is_none() {
        return Err(ConfigError::new(OPTION, format!("{} is not UTF-8", absolute.display())));
    }
    let len = absolute.as_os_str().as_bytes().len();
    if len > MAX_SOCKET_PATH {
        let path = absolute.display();
        return Err(ConfigError::new(
            OPTION,
            format!("{path} is {len} bytes long; the maximum for a unix socket is {MAX_SOCKET_PATH}"),
        ));
    }
    Ok(absolute)
}

fn parse_mode(text: &str) -> Result<u32, ConfigError> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| ConfigError::value("--socket-mode", text, "must be an octal mode such as 0660"))
}

fn parse_owner(text: &str) -> Result<(Option<Uid>, Option<Gid>), ConfigError> {
    const OPTION: &str = "--socket-owner";
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let owner = match user.parse() {
        Ok(number) => Uid::from_raw(number),
        Err(_) => user_must_exist(OPTION, user)?.uid,
    };
    let group = match group.map(|group| (group, group.parse())) {
        None => None,
        Some((_, Ok(number))) => Some(Gid::from_raw(number)),
        Some((name, Err(_))) => Some(group_must_exist(OPTION, name)?),
    };
    Ok((Some(owner), group))
}

fn nginx_group() -> Option<Gid> {
    NGINX_GROUPS.iter().find_map(|name| accounts::group_named(name).ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Arguments;
    use super::super::file_values::File;
    use super::super::setting_flags::SettingFlags;
    use super::*;

    #[test]
    fn owners_are_names_or_numbers() {
        let root = (Some(Uid::from_raw(0)), None);
        assert_eq!(parse_owner("root"), Ok(root));
        assert_eq!(parse_owner("0"), Ok(root));
        assert_eq!(parse_owner("0:root"), Ok((root.0, Some(Gid::from_raw(0)))));
        assert_eq!(parse_owner("12:34"), Ok((Some(Uid::from_raw(12)), Some(Gid::from_raw(34)))));
        assert!(parse_owner("no-such-user").is_err());
        assert!(parse_owner("root:no-such-group").is_err());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_mode("0660"), Ok(0o660));
        assert_eq!(parse_mode("777"), Ok(0o777));
        for wrong in ["", "0o660", "1777", "888", "rw"] {
            assert!(parse_mode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_root_only_the_daemons_user_connects_by_default() {
        let flags = SettingFlags::default().with("socket_file", "/run/x");
        let of = |flags: SettingFlags| {
            let arguments = Arguments { settings: flags, ..Arguments::default() };
            let mut errors = ConfigErrors::default();
            let values = OwnValues::new(&arguments, &File::default(), &mut errors);
            options(&values, Uid::from_raw(1000), &mut errors)
        };
        let closed = of(flags.clone());
        assert_eq!((closed.mode, closed.closed_to_nginx), (0o600, true));
        let open = of(flags.with("socket_mode", "0666"));
        assert_eq!((open.mode, open.closed_to_nginx), (0o666, false));
    }
}
