//! Check of nginx's access to the app's directory. nginx's workers open files in its public directory; the daemon does
//! not need that access, but visitors do.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use diagnosis::{Code, Diagnosis};
use nix::unistd;

use common::sys::accounts;
use common::sys::accounts::Account;

/// The users of nginx's workers on common systems.
const WORKERS: [&str; 2] = ["www-data", "nginx"];

/// Returns the problem when nginx's workers have no access. Without root nginx may run as the caller.
pub(super) fn closed_to_nginx(root: &Path) -> Option<Diagnosis> {
    let worker = WORKERS.iter().find_map(|name| accounts::user_named(name).ok().flatten())?;
    let groups: Vec<u32> =
        accounts::groups_of(&worker.name, worker.gid).ok()?.iter().map(|gid| gid.as_raw()).collect();
    if !unistd::geteuid().is_root() {
        return None;
    }
    let public = root.join("public");
    let end = if public.is_dir() { public.as_path() } else { root };
    let closed_to_worker =
        |dir: &&Path| fs::metadata(dir).is_ok_and(|meta| !may_enter(&meta, &worker, &groups));
    // The outermost directory first.
    let closed = end.ancestors().filter(closed_to_worker).last()?;
    let (name, dir) = (&worker.name, closed.display());
    Some(Diagnosis::new(
        Code::ClosedToNginx,
        format!(
            "nginx's user \"{name}\" may not enter {dir}: visitors get an error of nginx, whatever the app does"
        ),
        format!(
            "Run: chmod o+x {dir}. Or move the app to a directory that everybody may enter, such as /srv."
        ),
    ))
}

fn may_enter(directory: &Metadata, worker: &Account, groups: &[u32]) -> bool {
    let class = if directory.uid() == worker.uid.as_raw() {
        0o100
    } else if groups.contains(&directory.gid()) {
        0o010
    } else {
        0o001
    };
    directory.mode() & class != 0
}
