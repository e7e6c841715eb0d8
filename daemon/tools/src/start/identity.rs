//! Who everything runs as. Nothing runs as root: as root, this command becomes the owner of the app's directory, or the
//! user of `--user`, before it starts anything.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, geteuid};

use common::sys::accounts::{self, Account};
use common::sys::identity::{Identity, become_for_good};

/// Does nothing for an ordinary user. As root, executes this command again as the app's user, with that user's home
/// directory; returns only if that fails.
pub(super) fn leave_root(root: &Path, user: Option<&str>) -> Result<(), String> {
    if !geteuid().is_root() {
        return match user {
            None => Ok(()),
            Some(_) => Err("--user requires root; without root everything runs as you".into()),
        };
    }
    let account = app_user(root, user)?;
    let groups = accounts::groups_of(&account.name, account.gid).map_err(|err| err.to_string())?;
    let identity = Identity { uid: account.uid, gid: account.gid, groups };
    let name = &account.name;
    become_for_good(&identity).map_err(|err| format!("cannot become the user {name}: {err}"))?;
    let program =
        std::env::current_exe().map_err(|err| format!("cannot find the path of this program: {err}"))?;
    let err = Command::new(program)
        .args(without_user(std::env::args_os().skip(1)))
        .env_remove("XDG_RUNTIME_DIR")
        .env("HOME", &account.home)
        .env("USER", name)
        .env("LOGNAME", name)
        .exec();
    Err(format!("cannot continue as the user {name}: {err}"))
}

/// Returns the user as whom the app runs.
fn app_user(root: &Path, user: Option<&str>) -> Result<Account, String> {
    const REMEDY: &str = "nothing runs as root here: specify a user with --user, such as --user nobody, or give the \
                          directory to an ordinary user (chown -R USER)";
    let found = match user {
        Some(name) => accounts::user_named(name)
            .map_err(|err| err.to_string())?
            .ok_or_else(|| format!("there is no user \"{name}\""))?,
        None => {
            let metadata = root.metadata().map_err(|err| format!("cannot read {}: {err}", root.display()))?;
            let owner = Uid::from_raw(metadata.uid());
            accounts::user_numbered(owner).map_err(|err| err.to_string())?.ok_or_else(|| {
                format!("the owner of {}, user {owner}, has no account; specify --user", root.display())
            })?
        }
    };
    if found.uid.is_root() {
        return Err(match user {
            Some(_) => format!("--user is root; {REMEDY}"),
            None => format!("{} belongs to root; {REMEDY}", root.display()),
        });
    }
    Ok(found)
}

/// Returns the arguments without `--user`.
fn without_user(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skip = false;
    for argument in arguments {
        if std::mem::take(&mut skip) || argument.as_encoded_bytes().starts_with(b"--user=") {
            continue;
        }
        skip = argument == "--user";
        if !skip {
            kept.push(argument);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_removed_from_the_arguments() {
        let without = |words: &[&str]| without_user(words.iter().map(OsString::from));
        assert_eq!(without(&["start", "--user", "games", "-p", "0"]), ["start", "-p", "0"]);
        assert_eq!(without(&["start", "--user=games", "."]), ["start", "."]);
    }

    #[test]
    fn root_is_refused() {
        let err = app_user(Path::new("/"), None).unwrap_err();
        assert!(err.starts_with("/ belongs to root; nothing runs as root here"), "{err}");
        assert!(app_user(Path::new("/"), Some("root")).unwrap_err().starts_with("--user is root"));
        assert_eq!(app_user(Path::new("/"), Some("nobody")).unwrap().name, "nobody");
    }
}
