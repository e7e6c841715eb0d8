//! SIGUSR2, the upgrade: the program in the daemon's file takes over in this process. Current requests finish, new ones
//! wait in the socket, and the app processes, which stay children of this process, are not affected.
//!
//! A preflight comes first: a program that could not take over changes nothing. If the new program cannot be executed
//! in the end, the current one continues to serve.

pub(crate) mod argv;
pub(crate) mod preflight;
pub(crate) mod report;
mod state;

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd;

pub(crate) use self::state::State;
use super::LAST_LINES;
pub use argv::{StartMode, start_mode};
use common::config::{Options, trusted};
use common::log::writer;
use common::sys::fd_handover::HandoverWriter;
use report::{UpgradeReport, UpgradeResult};

/// Time for the router to report that it has finished, after its own limit.
const SLACK: Duration = Duration::from_secs(2);
/// Variables of the service manager that apply to one program only.
const NOT_HANDED_ON: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The path of the next program and the progress of the upgrade.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// The path from which this program was started, whatever file is there now.
    program: io::Result<PathBuf>,
    stage: Stage,
    /// The number of upgrades so far, those of earlier programs included.
    attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No upgrade is in progress.
    None,
    /// The router has to finish by then.
    Finishing(Instant),
    /// The router has finished or is killed; the operator's programs have to end by then.
    Alone(Option<Instant>),
}

impl Upgrade {
    /// To be called while the file is the one this program was started from; `directory` is where that was. A path is
    /// used as typed, as in nginx: a symbolic link in it may lead to another release later.
    pub(crate) fn new(directory: &Path) -> Self {
        let typed = std::env::args_os().next().filter(|word| word.as_bytes().contains(&b'/'));
        let program = typed.map_or_else(std::env::current_exe, |word| Ok(directory.join(word)));
        Self { program, stage: Stage::None, attempts: 0 }
    }

    /// Returns the number of upgrades so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Sets the number of upgrades so far.
    pub(crate) fn set_attempts(&mut self, attempts: u32) {
        self.attempts = attempts;
    }

    /// Returns the report of this upgrade.
    pub(crate) fn report(&self, result: UpgradeResult) -> UpgradeReport {
        UpgradeReport { attempt: self.attempts, result }
    }

    /// Whether an upgrade is in progress, so that no other router of this program is started.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.stage != Stage::None
    }

    /// When the current stage has to be complete.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Finishing(until) | Stage::Alone(Some(until)) => Some(until),
            Stage::None | Stage::Alone(None) => None,
        }
    }

    /// Records that the router has ended: from now on requests wait for the rest.
    pub(crate) fn note_router_gone(&mut self, now: Instant) {
        if self.is_in_progress() {
            self.stage = Stage::Alone(Some(now + SLACK));
        }
    }

    /// Begins: the router has this time to finish.
    pub(crate) fn begin(&mut self, limit: Duration) {
        self.stage = Stage::Finishing(Instant::now() + limit + SLACK);
    }

    /// Cancels the upgrade; false if there is none.
    pub(crate) fn cancel(&mut self) -> bool {
        std::mem::replace(&mut self.stage, Stage::None) != Stage::None
    }

    /// Whether the router, or the programs of hooks, had their time.
    pub(crate) fn is_overdue(&mut self, now: Instant) -> bool {
        let overdue = self.due().is_some_and(|due| due <= now);
        if overdue {
            self.stage = Stage::Alone(None);
        }
        overdue
    }

    /// Executes the new program with the state that `pack` returns. Returns only on failure.
    pub(crate) fn execute(
        &self,
        options: &Options,
        pack: impl FnOnce(&mut HandoverWriter) -> io::Result<State>,
    ) -> io::Result<Infallible> {
        let program = self.program()?;
        let mut writer = HandoverWriter::default();
        let state = serde_json::to_vec(&pack(&mut writer)?)?;
        let packed = writer.pack_bytes(&state)?;
        let words = c_strings(argv::take_over(packed))?;
        let environment =
            std::env::vars_os().filter(|(name, _)| !NOT_HANDED_ON.iter().any(|own| name == *own));
        let environment =
            c_strings(environment.map(|(name, value)| [name, "=".into(), value].into_iter().collect()))?;
        tracing::info!("{} takes over", program.display());
        writer::drain(LAST_LINES);
        let program = CString::new(program.into_os_string().into_vec())?;
        unistd::chdir(options.directory())?;
        let failed = unistd::execve(&program, &words, &environment);
        // The daemon keeps no directory from being unmounted.
        unistd::chdir("/")?;
        Ok(failed?)
    }

    fn program(&self) -> io::Result<PathBuf> {
        let unknown =
            |why: &io::Error| io::Error::other(format!("the path of the daemon's program is unknown: {why}"));
        let program = self.program.as_ref().map_err(unknown)?;
        // A missing file is reported when it is executed.
        if program.exists() {
            trusted(program, unistd::geteuid())
                .map_err(|why| io::Error::other(format!("{} {why}", program.display())))?;
        }
        Ok(program.clone())
    }
}

fn c_strings(words: impl IntoIterator<Item = OsString>) -> io::Result<Vec<CString>> {
    words.into_iter().map(|word| CString::new(word.into_vec()).map_err(io::Error::other)).collect()
}
