//! Kernel limits and the OOM score of the daemon: changed at the start, restored in its children.

use std::{fs, io};

use nix::sys::resource::{self, Resource, rlim_t};
use nix::unistd;
use serde::{Deserialize, Serialize};

const OOM_SCORE: &str = "/proc/self/oom_score_adj";
/// Never chosen: the kernel kills an app instead, which is then restarted.
const MIN_OOM_SCORE: &str = "-1000";
/// The bit of the capability to raise a hard limit.
const CAP_SYS_RESOURCE: u32 = 24;

/// The values with which the daemon was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Originals {
    open_files: OpenFiles,
    oom_score: Option<String>,
}

/// The soft and hard limit of open files of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenFiles {
    pub(crate) soft: rlim_t,
    pub(crate) hard: rlim_t,
}

impl Originals {
    /// Records the values and then, as root, exempts the daemon from the kernel's out-of-memory killer.
    pub(crate) fn note() -> io::Result<Self> {
        let (soft, hard) = resource::getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { open_files: OpenFiles { soft, hard }, oom_score: lower_oom_score() })
    }

    /// Returns the soft and the hard limit of open files with which the daemon was started.
    pub(crate) fn open_files(&self) -> (u64, u64) {
        (self.open_files.soft, self.open_files.hard)
    }

    /// Sets the limit to `wanted`, or to the hard limit for 0, or to as many as possible. Returns the limit in effect.
    pub(crate) fn limit_open_files(&self, wanted: u64) -> io::Result<OpenFiles> {
        let modest = self.open_files.within(wanted);
        let set = |limit: OpenFiles| resource::setrlimit(Resource::RLIMIT_NOFILE, limit.soft, limit.hard);
        if wanted > 0 && may_raise_limits() {
            // The kernel refuses more than fs.nr_open to every user.
            set(OpenFiles { soft: wanted, hard: wanted }).or_else(|_| set(modest))?;
        } else {
            set(modest)?;
        }
        let (soft, hard) = resource::getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(OpenFiles { soft, hard })
    }

    /// Restores the original values in a child. To be called before the child changes its user.
    pub(crate) fn restore(&self) -> io::Result<()> {
        resource::setrlimit(Resource::RLIMIT_NOFILE, self.open_files.soft, self.open_files.hard)?;
        self.restore_oom_score()
    }

    /// Restores the OOM score only, for the router, which needs its descriptors.
    pub(crate) fn restore_oom_score(&self) -> io::Result<()> {
        match &self.oom_score {
            Some(score) => fs::write(OOM_SCORE, score),
            None => Ok(()),
        }
    }
}

/// Sets the soft and hard limit of open files of this process. To be called before it changes its user.
pub(crate) fn set_open_files(most: u64) -> io::Result<()> {
    resource::setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(Into::into)
}

/// Logs the result of setting the limit of open files.
pub(crate) fn log_open_files(wanted: u64, reached: io::Result<u64>) {
    match reached {
        Ok(reached) if reached < wanted => tracing::warn!(
            "the daemon may open {reached} files, not {wanted}: its hard limit, or fs.nr_open, allows no more \
             (ulimit -Hn, or systemd's LimitNOFILE=)"
        ),
        Ok(reached) => tracing::info!("the daemon may open {reached} files"),
        Err(why) => tracing::warn!("cannot change the daemon's limit of open files: {why}"),
    }
}

impl OpenFiles {
    /// Keeps the hard limit: a process that may not raise it could not restore it for an app.
    fn within(self, wanted: u64) -> Self {
        let soft = if wanted == 0 { self.hard } else { self.hard.min(wanted) };
        Self { soft, hard: self.hard }
    }
}

fn may_raise_limits() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    effective.is_some_and(|all| all & (1 << CAP_SYS_RESOURCE) != 0)
}

/// Returns the previous score if it was changed. The daemon starts even if a container forbids the change.
fn lower_oom_score() -> Option<String> {
    if !unistd::geteuid().is_root() {
        return None;
    }
    let before = fs::read_to_string(OOM_SCORE).ok()?;
    if let Err(why) = fs::write(OOM_SCORE, MIN_OOM_SCORE) {
        tracing::info!(
            "the kernel may kill the daemon when memory is short: {OOM_SCORE} cannot be lowered: {why}"
        );
        return None;
    }
    Some(before.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_privileges_only_the_soft_limit_changes_up_to_the_hard_one() {
        let original = OpenFiles { soft: 1024, hard: 4096 };
        for (wanted, soft) in [(0, 4096), (64, 64), (4096, 4096), (100_000, 4096)] {
            assert_eq!(original.within(wanted), OpenFiles { soft, hard: 4096 }, "{wanted}");
        }
    }
}
