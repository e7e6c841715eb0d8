//! The control group of one process: its limits apply to all processes in it, and they end together.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::{CgroupError, PROCS, write};

/// The group of one process. It is not removed when this is dropped: see [`Cgroups::end`](super::Cgroups::end).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn limit(&self, file: &str, value: u64) -> Result<(), CgroupError> {
        write(&self.path.join(file), &value.to_string())?;
        if file == "memory.max" {
            // A part of an app's processes is useless without the rest.
            write(&self.path.join("memory.oom.group"), "1")?;
        }
        Ok(())
    }

    /// Opens the file to which a process writes `0` to enter by itself, whatever rights it has by then.
    pub(crate) fn procs_file(&self) -> Result<OwnedFd, CgroupError> {
        let path = self.path.join(PROCS);
        let opened = File::options().write(true).open(&path);
        opened.map(OwnedFd::from).map_err(|why| CgroupError::Call(path, why))
    }

    /// Adds a process, without those that it has started before.
    pub(crate) fn admit(&self, pid: Pid) -> Result<(), CgroupError> {
        write(&self.path.join(PROCS), &pid.to_string())
    }

    /// Kills everything in it.
    pub(crate) fn kill(&self) {
        match write(&self.path.join("cgroup.kill"), "1") {
            Ok(()) => {}
            // Before Linux 5.14 this file does not exist: what the process has left behind stays.
            Err(CgroupError::Call(_, why)) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => tracing::warn!("cannot kill the remaining processes of an app: {why}"),
        }
    }

    /// Whether the kernel has killed processes in it because they exceeded its memory limit.
    pub(crate) fn was_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.is_some_and(|count| count != "0")
    }

    /// Removes it; false while a process in it has not ended.
    pub(super) fn remove(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Err(why) if why.kind() == io::ErrorKind::ResourceBusy => false,
            Ok(()) => true,
            Err(why) => {
                if why.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("cannot remove the control group {}: {why}", self.path.display());
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_memory_kills_are_recognized() {
        let path = std::env::temp_dir().join(format!("fp-cgroup-events-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let cgroup = Cgroup::at(path.clone());
        assert!(!cgroup.was_out_of_memory(), "no such file, no such end");
        for (count, was) in [("0", false), ("3", true)] {
            fs::write(path.join("memory.events"), format!("low 0\noom 1\noom_kill {count}\n")).unwrap();
            assert_eq!(cgroup.was_out_of_memory(), was);
        }
        fs::remove_dir_all(path).unwrap();
    }
}
