//! What the daemon changes of its own standing with the kernel, and gives back to its children.

use std::fs;
use std::io;

use nix::sys::resource::{self, Resource, rlim_t};
use nix::unistd;

const OOM_SCORE: &str = "/proc/self/oom_score_adj";
/// Never chosen: the kernel ends an app instead, which is started again.
const LEAST_OOM_SCORE: &str = "-1000";

/// How the daemon was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Originals {
    open_files: (rlim_t, rlim_t),
    oom_score: Option<String>,
}

impl Originals {
    /// Notes the values, then takes all the descriptors that are allowed and, as root, steps out of the way of the
    /// kernel's out-of-memory killer.
    pub(in crate::supervisor) fn note_and_raise() -> io::Result<Self> {
        let open_files = resource::getrlimit(Resource::RLIMIT_NOFILE)?;
        resource::setrlimit(Resource::RLIMIT_NOFILE, open_files.1, open_files.1)?;
        Ok(Self { open_files, oom_score: lower_oom_score() })
    }

    /// Gives a child what the daemon was started with. To be called before it changes its user.
    pub(in crate::supervisor) fn restore(&self) -> io::Result<()> {
        let (soft, hard) = self.open_files;
        resource::setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
        self.restore_oom_score()
    }

    /// As [`Originals::restore`], for the router, which needs its descriptors.
    pub(in crate::supervisor) fn restore_oom_score(&self) -> io::Result<()> {
        match &self.oom_score {
            Some(score) => fs::write(OOM_SCORE, score),
            None => Ok(()),
        }
    }
}

/// The score from before, when it was changed. A container may forbid it, which is no reason not to start.
fn lower_oom_score() -> Option<String> {
    if !unistd::geteuid().is_root() {
        return None;
    }
    let before = fs::read_to_string(OOM_SCORE).ok()?;
    fs::write(OOM_SCORE, LEAST_OOM_SCORE).ok()?;
    Some(before.trim().to_owned())
}
