//! What the daemon changes of its own standing with the kernel, and gives back to its children.

use std::fs;
use std::io;

use nix::sys::resource::{self, Resource, rlim_t};
use nix::unistd;
use serde::{Deserialize, Serialize};

const OOM_SCORE: &str = "/proc/self/oom_score_adj";
/// Never chosen: the kernel ends an app instead, which is started again.
const LEAST_OOM_SCORE: &str = "-1000";
/// The bit of the capability to raise a hard limit.
const CAP_SYS_RESOURCE: u32 = 24;

/// How the daemon was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Originals {
    open_files: OpenFiles,
    oom_score: Option<String>,
}

/// How many files a process may have open: what counts, and how far that may be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenFiles {
    pub(crate) soft: rlim_t,
    pub(crate) hard: rlim_t,
}

impl Originals {
    /// Notes the values, then, as root, steps out of the way of the kernel's out-of-memory killer.
    pub(crate) fn note() -> io::Result<Self> {
        let (soft, hard) = resource::getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { open_files: OpenFiles { soft, hard }, oom_score: lower_oom_score() })
    }

    /// Takes `wanted` descriptors, 0 for all that are allowed, or as many as can be had. Tells what holds now.
    pub(crate) fn limit_open_files(&self, wanted: u64) -> io::Result<OpenFiles> {
        let modest = self.open_files.within(wanted);
        let set = |limit: OpenFiles| resource::setrlimit(Resource::RLIMIT_NOFILE, limit.soft, limit.hard);
        if wanted > 0 && may_raise_limits() {
            // More than fs.nr_open is refused to everybody.
            set(OpenFiles { soft: wanted, hard: wanted }).or_else(|_| set(modest))?;
        } else {
            set(modest)?;
        }
        let (soft, hard) = resource::getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(OpenFiles { soft, hard })
    }

    /// Gives a child what the daemon was started with. To be called before it changes its user.
    pub(crate) fn restore(&self) -> io::Result<()> {
        resource::setrlimit(Resource::RLIMIT_NOFILE, self.open_files.soft, self.open_files.hard)?;
        self.restore_oom_score()
    }

    /// As [`Originals::restore`], for the router, which needs its descriptors.
    pub(crate) fn restore_oom_score(&self) -> io::Result<()> {
        match &self.oom_score {
            Some(score) => fs::write(OOM_SCORE, score),
            None => Ok(()),
        }
    }
}

/// Lets this process have so many files open, for good. To be called before it changes its user.
pub(crate) fn set_open_files(most: u64) -> io::Result<()> {
    resource::setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(Into::into)
}

impl OpenFiles {
    /// The hard limit stays: who may not raise it could never give it back to an app.
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

/// The score from before, when it was changed. A container may forbid it, which is no reason not to start.
fn lower_oom_score() -> Option<String> {
    if !unistd::geteuid().is_root() {
        return None;
    }
    let before = fs::read_to_string(OOM_SCORE).ok()?;
    if let Err(why) = fs::write(OOM_SCORE, LEAST_OOM_SCORE) {
        tracing::info!(
            "the kernel may end the daemon when memory is short: {OOM_SCORE} cannot be lowered: {why}"
        );
        return None;
    }
    Some(before.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rights_only_the_soft_limit_moves_and_never_above_the_hard_one() {
        let original = OpenFiles { soft: 1024, hard: 4096 };
        for (wanted, soft) in [(0, 4096), (64, 64), (4096, 4096), (100_000, 4096)] {
            assert_eq!(original.within(wanted), OpenFiles { soft, hard: 4096 }, "{wanted}");
        }
    }
}
