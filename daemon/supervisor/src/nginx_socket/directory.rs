//! Checks of the directories above the socket: whether nginx can access it and whether other users could replace it.
//! They produce warnings and change nothing.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd;

use common::config::SocketOptions;

/// Returns warnings for the operator.
pub(crate) fn warnings(options: &SocketOptions) -> Vec<String> {
    let above: Vec<_> = options.path.ancestors().skip(1).collect();
    let closed = above.iter().rev().find_map(|dir| closed_to_nginx(options, dir));
    let shared = above.first().and_then(|dir| shared(&options.path, dir));
    closed.into_iter().chain(shared).collect()
}

/// Warns of a directory that denies access to users who may connect.
fn closed_to_nginx(options: &SocketOptions, dir: &Path) -> Option<String> {
    let found = fs::metadata(dir).ok()?;
    let group = options.group?.as_raw();
    let class = if found.gid() == group { 0o010 } else { 0o001 };
    let owner_passes = options.owner.is_some_and(|owner| !owner.is_root() && owner.as_raw() == found.uid());
    if found.mode() & class != 0 || owner_passes {
        return None;
    }
    let (path, dir, mode) = (options.path.display(), dir.display(), found.mode() & 0o7777);
    Some(format!(
        "nginx's workers cannot reach {path}: the group {group} cannot enter the directory {dir} (mode {mode:04o}): \
         chmod o+x {dir}, or set another path with --socket-file"
    ))
}

/// Warns of a directory in which other users can replace the socket at `path`.
fn shared(path: &Path, dir: &Path) -> Option<String> {
    let found = fs::metadata(dir).ok()?;
    let mine = [0, unistd::geteuid().as_raw()].contains(&found.uid());
    if mine && !others_may_replace(&found) {
        return None;
    }
    let (path, dir, uid, mode) = (path.display(), dir.display(), found.uid(), found.mode() & 0o7777);
    Some(format!(
        "other users can replace {path}: the directory {dir} belongs to the user {uid} and has the mode {mode:04o}: \
         chown root {dir}; chmod 0755 {dir}"
    ))
}

fn others_may_replace(found: &Metadata) -> bool {
    let mode = found.mode();
    let by_group = mode & 0o020 != 0 && found.gid() != 0 && found.gid() != unistd::getegid().as_raw();
    let sticky = mode & 0o1000 != 0;
    (mode & 0o002 != 0 || by_group) && !sticky
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use nix::unistd::Gid;

    use super::*;

    #[test]
    fn warns_of_a_directory_closed_to_nginx_or_open_to_others() {
        let dir = std::env::temp_dir().join(format!("fp-socket-directory-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let group = Some(Gid::from_raw(4_000_000));
        let options = SocketOptions {
            path: dir.join("socket"),
            mode: 0o660,
            owner: None,
            group,
            closed_to_nginx: false,
        };
        let warnings = |mode| {
            fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            warnings(&options)
        };
        assert_eq!(warnings(0o755), Vec::<String>::new());
        assert_eq!(warnings(0o1777), Vec::<String>::new());
        let closed = warnings(0o750);
        assert!(closed[0].contains(&format!("chmod o+x {}", dir.display())), "{closed:?}");
        let shared = warnings(0o777);
        assert!(shared[0].contains(&format!("chown root {}", dir.display())), "{shared:?}");
        fs::remove_dir(&dir).unwrap();
    }
}
