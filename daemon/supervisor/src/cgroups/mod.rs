//! Control groups: each process of an app has its own below the daemon's, with the limits from its settings.
//!
//! ```text
//! <the daemon's own group, which the service manager has delegated>/
//!     daemon/           supervisor and router
//!     app-shop-7/       process 7 of the app "shop", and everything that it starts
//! ```
//!
//! Version 2 only, which systemd mounts since Debian 11. What an app leaves running ends with its process.

mod group;
mod place;

use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::unistd::Pid;

pub(super) use group::Cgroup;

use common::link::{CgroupLimits, ProcessId};

/// The daemon's own processes: a group that has others below it may not contain processes.
const DAEMON: &str = "daemon";
/// The controllers that the limits require.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// Prefix of the groups of app processes.
const OF_APPS: &str = "app-";
/// The file with a group's processes.
const PROCS: &str = "cgroup.procs";
const SUBTREE: &str = "cgroup.subtree_control";

/// The groups below the daemon's own.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// The group that contains the others.
    pub(super) own: PathBuf,
    /// Those of [`CONTROLLERS`] that are available.
    controllers: Vec<&'static str>,
    /// Groups of ended processes that are not empty yet.
    leaving: Vec<Cgroup>,
}

/// Why control groups cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    /// The kernel has no control groups of version 2, or they are not mounted.
    #[error("--cgroups requires control groups of version 2, which are not mounted")]
    None,
    /// Other processes are in the daemon's group.
    #[error(
        "other processes are in its control group {0}: --cgroups requires one for the daemon alone, as a systemd \
         unit with Delegate=yes has"
    )]
    Shared(PathBuf),
    /// A call failed.
    #[error(
        "its control group cannot be used: {0}: {1}; --cgroups requires a delegated one, as a systemd unit with \
         Delegate=yes has"
    )]
    Call(PathBuf, io::Error),
}

impl Cgroups {
    /// Takes over the daemon's own group.
    pub(super) fn take() -> Result<Self, CgroupError> {
        let own = place::own().ok_or(CgroupError::None)?;
        Self::at(own, Pid::this())
    }

    fn at(own: PathBuf, me: Pid) -> Result<Self, CgroupError> {
        let others = read(&own.join(PROCS))?;
        if others.lines().any(|pid| pid.parse() != Ok(me.as_raw())) {
            return Err(CgroupError::Shared(own));
        }
        let daemon = own.join(DAEMON);
        match fs::create_dir(&daemon) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists => {
                return Err(CgroupError::Call(daemon, why));
            }
            _ => write(&daemon.join(PROCS), &me.to_string())?,
        }
        let has = |name: &&str| match fs::write(own.join(SUBTREE), format!("+{name}")) {
            Ok(()) => true,
            Err(why) => {
                tracing::warn!(
                    "the controller \"{name}\" is not available, its limits are not enforced: {why}"
                );
                false
            }
        };
        let controllers = CONTROLLERS.into_iter().filter(has).collect();
        tracing::info!("processes of apps get control groups below {}", own.display());
        let mut cgroups = Self { own, controllers, leaving: Vec::new() };
        cgroups.end_leftovers()?;
        Ok(cgroups)
    }

    /// Ends the groups of processes that a killed daemon has left here, and what may be in them.
    fn end_leftovers(&mut self) -> Result<(), CgroupError> {
        let entries = fs::read_dir(&self.own).map_err(|why| CgroupError::Call(self.own.clone(), why))?;
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(OF_APPS) && path.is_dir()
        };
        for path in paths.filter(is_ours) {
            tracing::info!("killing the processes in {}, left by a daemon that has ended", path.display());
            self.end(Cgroup::at(path));
        }
        Ok(())
    }

    /// Takes over the groups of the previous program in this process, which is in its own group already.
    pub(super) fn take_over(own: PathBuf) -> Result<Self, CgroupError> {
        let given = read(&own.join(SUBTREE))?;
        let has = |name: &&str| given.split_whitespace().any(|given| given == *name);
        Ok(Self { own, controllers: CONTROLLERS.into_iter().filter(has).collect(), leaving: Vec::new() })
    }

    /// Creates a group for a process, with its limits.
    pub(super) fn make(
        &self,
        app: &str,
        process: ProcessId,
        limits: CgroupLimits,
    ) -> Result<Cgroup, CgroupError> {
        let path = self.own.join(name(app, process));
        fs::create_dir(&path).map_err(|why| CgroupError::Call(path.clone(), why))?;
        let cgroup = Cgroup::at(path);
        for (controller, file, value) in files(limits) {
            if self.controllers.contains(&controller) {
                cgroup.limit(file, value)?;
            } else {
                tracing::warn!(
                    "{app}: the limit {file} = {value} is not enforced, as the controller \"{controller}\" is not \
                     available"
                );
            }
        }
        Ok(cgroup)
    }

    /// Ends everything that an ended process has left in its group.
    pub(super) fn end(&mut self, cgroup: Cgroup) {
        cgroup.kill();
        self.leaving.push(cgroup);
        self.sweep();
    }

    /// Removes the groups that have become empty.
    pub(super) fn sweep(&mut self) {
        self.leaving.retain(|cgroup| !cgroup.remove());
    }

    /// Restores the group to its original state.
    pub(super) fn dissolve(mut self) {
        self.sweep();
        for controller in &self.controllers {
            // A failure leaves an empty group behind, which the service manager removes.
            let _ = write(&self.own.join(SUBTREE), &format!("-{controller}"));
        }
        if write(&self.own.join(PROCS), &Pid::this().to_string()).is_ok() {
            let _ = fs::remove_dir(self.own.join(DAEMON));
        }
    }
}

/// Returns controller, file and value of each limit.
fn files(limits: CgroupLimits) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
    let memory = limits.memory.map(|bytes| ("memory", "memory.max", bytes));
    let tasks = limits.tasks.map(|tasks| ("pids", "pids.max", tasks));
    memory.into_iter().chain(tasks)
}

/// Returns the name of a group: readable in the tree, and unique by its number.
fn name(app: &str, process: ProcessId) -> String {
    let last = app.split(' ').next().unwrap_or(app).rsplit('/').find(|part| !part.is_empty());
    let short: String = last.unwrap_or("app").chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("{OF_APPS}{short}-{}", process.0)
}

fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|why| CgroupError::Call(path.to_path_buf(), why))
}

fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    fs::write(path, text).map_err(|why| CgroupError::Call(path.to_path_buf(), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a directory that looks like a group with only this process in it.
    fn own(name: &str) -> PathBuf {
        let own = std::env::temp_dir().join(format!("fp-cgroup-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&own));
        fs::create_dir(&own).unwrap();
        fs::write(own.join(PROCS), format!("{}\n", Pid::this())).unwrap();
        own
    }

    #[test]
    fn the_daemon_and_each_process_get_their_own_group() {
        let own = own("tree");
        let cgroups = Cgroups::at(own.clone(), Pid::this()).unwrap();
        assert_eq!(read(&own.join("daemon/cgroup.procs")).unwrap(), Pid::this().to_string());
        let limits = CgroupLimits { memory: Some(512 << 20), tasks: Some(64) };
        cgroups.make("/srv/shop (production)", ProcessId(7), limits).unwrap();
        let shop = own.join("app-shop-7");
        assert_eq!(read(&shop.join("memory.max")).unwrap(), "536870912");
        assert_eq!(read(&shop.join("memory.oom.group")).unwrap(), "1");
        assert_eq!(read(&shop.join("pids.max")).unwrap(), "64");
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_group_without_limits_has_no_limit_files() {
        let own = own("plain");
        let cgroups = Cgroups::at(own.clone(), Pid::this()).unwrap();
        cgroups.make("billing", ProcessId(8), CgroupLimits::default()).unwrap();
        assert_eq!(fs::read_dir(own.join("app-billing-8")).unwrap().count(), 0);
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn rejects_a_group_with_other_processes() {
        let own = own("shared");
        fs::write(own.join(PROCS), format!("1\n{}\n", Pid::this())).unwrap();
        let refused = Cgroups::at(own.clone(), Pid::this()).unwrap_err().to_string();
        assert!(refused.contains("requires one for the daemon alone"), "{refused}");
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_name_is_one_path_component_whatever_the_app_is_called() {
        assert_eq!(name("/srv/../shop/ (x)", ProcessId(1)), "app-shop-1");
        assert_eq!(name("cgroup.procs", ProcessId(2)), "app-cgroupprocs-2");
        assert_eq!(name("/", ProcessId(3)), "app-app-3");
        assert_eq!(name("../..", ProcessId(4)), "app--4");
    }
}
