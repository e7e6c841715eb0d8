//! Checks whether the sites of nginx's configuration reach a running daemon: each `passenger_fly_with` and the rights of
//! nginx's user.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fs, io};

use module_core::fly_with::FlyWith;
use nix::unistd;

use super::Verdict;
use super::module::nginx;
use super::nginx_conf::{self, Build, Directive};
use crate::instances;
use common::sys::accounts;
use common::sys::identity::{Identity, with_file_rights_of};

const FLY_WITH: &str = "passenger_fly_with";

/// Checks all sockets that nginx's configuration names.
pub(super) fn reach_a_daemon(file: Option<&Path>) -> Verdict {
    let Some(nginx) = nginx() else { return Verdict::Skipped("nginx is not installed".to_owned()) };
    let build = Build::of(&nginx);
    let directives = match nginx_conf::read(&nginx, &build, file) {
        Ok(directives) => directives,
        Err(why) => return Verdict::Warned(format!("{why}\nRun the command as root.")),
    };
    let sockets = sockets(&directives);
    if sockets.is_empty() {
        return without_socket(&directives);
    }
    let worker = Worker::of(&directives, &build);
    let problems: Vec<_> = sockets
        .iter()
        .filter_map(|(path, place)| Some(format!("{place}: {}", problem(path, &worker)?)))
        .collect();
    if !problems.is_empty() {
        return Verdict::Failed(problems.join("\n"));
    }
    let paths: Vec<_> = sockets.keys().map(|path| path.display().to_string()).collect();
    let as_user =
        worker.identity.as_ref().map_or(String::new(), |_| format!(", as nginx's user \"{}\"", worker.name));
    Verdict::Ok(format!("{} connects to a running daemon{as_user}", paths.join(" and ")))
}

fn without_socket(directives: &[Directive]) -> Verdict {
    let enabled = directives.iter().find(|directive| directive.argument("passenger_enabled") == Some("on"));
    match enabled {
        None => Verdict::Skipped("nginx's configuration contains no passenger_enabled on".to_owned()),
        Some(enabled) => Verdict::Failed(format!(
            "{}: passenger_enabled is on, but there is no {FLY_WITH}.\nAdd {} to the http block.",
            enabled.file,
            suggestion()
        )),
    }
}

/// Returns the sockets, each with the place of its directive.
fn sockets(directives: &[Directive]) -> BTreeMap<PathBuf, String> {
    let mut sockets = BTreeMap::new();
    for directive in directives {
        let Some(value) = directive.argument(FLY_WITH) else { continue };
        let place = format!("{}: {FLY_WITH} {value}", directive.file);
        match FlyWith::parse(value) {
            Ok(FlyWith::Socket(path)) => drop(sockets.insert(PathBuf::from(path), place)),
            Ok(FlyWith::Upstream(name)) => {
                let servers = directives.iter().filter(|server| server.block == ["upstream", name.as_str()]);
                let paths = servers.filter_map(|server| server.argument("server")?.strip_prefix("unix:"));
                sockets.extend(paths.map(|path| (PathBuf::from(path), place.clone())));
            }
            // nginx reports it.
            Err(_) => {}
        }
    }
    sockets
}

/// The user of nginx's workers.
#[derive(Debug)]
struct Worker {
    name: String,
    /// `None` when this process cannot act as that user.
    identity: Option<Identity>,
}

impl Worker {
    fn of(directives: &[Directive], build: &Build) -> Self {
        let user = directives.iter().find(|directive| directive.argument("user").is_some());
        let words = user.map(|directive| directive.words.as_slice()).unwrap_or_default();
        let built = || build.user.clone().unwrap_or_else(|| "nobody".to_owned());
        let name = words.get(1).cloned().unwrap_or_else(built);
        let group = words.get(2).cloned().or_else(|| build.group.clone().filter(|_| words.is_empty()));
        let identity = unistd::geteuid().is_root().then(|| identity(&name, group.as_deref())).flatten();
        Self { name, identity }
    }

    /// Connects with the rights of nginx's user, or with those of the caller where these are not at hand.
    fn connect(&self, path: &Path) -> io::Result<()> {
        let connect = || UnixStream::connect(path).map(drop);
        match &self.identity {
            Some(identity) => with_file_rights_of(identity, connect).map_err(io::Error::other)?,
            None => connect(),
        }
    }
}

/// nginx's workers have the user's groups, and the configured one or that of the user's name as the primary one.
fn identity(name: &str, group: Option<&str>) -> Option<Identity> {
    let user = accounts::user_named(name).ok().flatten()?;
    let gid = accounts::group_named(group.unwrap_or(name)).ok().flatten().unwrap_or(user.gid);
    let groups = accounts::groups_of(name, gid).ok()?;
    Some(Identity { uid: user.uid, gid, groups })
}

/// Returns what is wrong with a socket, and what to do.
fn problem(path: &Path, worker: &Worker) -> Option<String> {
    let socket = path.display();
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => fs::metadata(path).unwrap_or(found).file_type(),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            return Some(format!("{socket} does not exist.\n{}", daemons_listen()));
        }
        Err(why) => return Some(format!("{socket} cannot be examined: {why}.\nRun the command as root.")),
    };
    if !kind.is_socket() {
        return Some(format!("{socket} is not a socket.\n{}", daemons_listen()));
    }
    match worker.connect(path) {
        Ok(()) => {}
        Err(why) if why.kind() == ErrorKind::PermissionDenied && worker.identity.is_some() => {
            return Some(format!(
                "nginx's user \"{}\" may not connect to {socket}.\nSet the owner of the socket, --socket-owner=root:{} or \
                 SocketGroup= in flying-passenger.socket, and let that user enter its directory.",
                worker.name, worker.name
            ));
        }
        // An ordinary user usually may not connect.
        Err(why) if why.kind() == ErrorKind::PermissionDenied => {}
        Err(why) => {
            return Some(format!(
                "nobody answers at {socket}: {why}.\nStart the daemon: systemctl start flying-passenger"
            ));
        }
    }
    let is_here = |known: &Path| known == path || same_file(known, path);
    let known = instances();
    if known.is_empty() || known.iter().any(|found| is_here(&found.properties.socket_file)) {
        return None;
    }
    Some(format!("{socket} belongs to no running daemon that this user can find.\n{}", daemons_listen()))
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn daemons_listen() -> String {
    let paths: Vec<_> =
        instances().iter().map(|found| found.properties.socket_file.display().to_string()).collect();
    match &paths[..] {
        [] => "Start the daemon: systemctl start flying-passenger".to_owned(),
        _ => format!("The running daemon listens on {}: write {}", paths.join(" and "), suggestion()),
    }
}

/// Returns the directive for the first running daemon, or that of the package.
fn suggestion() -> String {
    let first = instances().first().map(|found| found.properties.socket_file.display().to_string());
    let socket = first.unwrap_or_else(|| "/run/flying-passenger.sock".to_owned());
    format!("\"{FLY_WITH} unix:{socket};\"")
}
