//! SIGUSR2, the upgrade: the program in the daemon's file takes over in this process. Current requests finish, new ones
//! wait in the socket, and the app processes, which stay children of this process, are not affected.
//!
//! A preflight comes first: a program that could not take over changes nothing. If the new program cannot be executed
//! in the end, the current one goes on serving.

pub(crate) mod argv;
pub(crate) mod preflight;
mod state;

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd;

pub(crate) use self::state::State;
use crate::{LAST_LINES, Supervisor};
pub use argv::{StartMode, start_mode};
use common::config::trusted;
use common::link::Notice;
use common::log::writer;
use common::sys::fd_handover::HandoverWriter;

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
    pub(super) fn new(directory: &Path) -> Self {
        let typed = std::env::args_os().next().filter(|word| word.as_bytes().contains(&b'/'));
        let program = typed.map_or_else(std::env::current_exe, |word| Ok(directory.join(word)));
        Self { program, stage: Stage::None }
    }

    /// Whether an upgrade is in progress, so that no other router of this program is started.
    pub(crate) fn is_under_way(&self) -> bool {
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
        if self.is_under_way() {
            self.stage = Stage::Alone(Some(now + SLACK));
        }
    }

    /// Cancels the upgrade, if there is one.
    pub(super) fn call_off(&mut self) {
        self.stage = Stage::None;
    }
}

impl Supervisor {
    /// Starts an upgrade: asks the router to finish, if there is a program that can take over.
    pub(super) fn begin_upgrade(&mut self) {
        tracing::info!("received SIGUSR2: another program is to take over");
        if self.upgrade.is_under_way() || !self.shutdown.is_settled() {
            tracing::warn!("none takes over while the daemon starts, ends or is taken over");
            return;
        }
        if let Err(why) = self.check_successor() {
            tracing::error!("no other program takes over: {why}");
            return;
        }
        self.manager.reloading();
        let limit = self.shutdown.limit();
        self.upgrade.stage = Stage::Finishing(Instant::now() + limit + SLACK);
        self.routers.start_no_more();
        self.tell_router(&Notice::Retire { limit: limit.as_secs() }, &[]);
    }

    /// Cancels the upgrade for a shutdown. Requests are served until the programs for before the shutdown have ended.
    pub(super) fn call_upgrade_off(&mut self) {
        let wants_router = self.upgrade.is_under_way() && self.routers.running().is_none();
        self.upgrade.call_off();
        if wants_router {
            self.start_router();
        }
    }

    /// Handles the timeout of the router, or of the programs of hooks.
    pub(crate) fn upgrade_due(&mut self, now: Instant) {
        if self.upgrade.due().is_none_or(|due| due > now) {
            return;
        }
        self.upgrade.stage = Stage::Alone(None);
        if let Some(router) = self.routers.running_mut() {
            tracing::warn!("the router has not finished in time and is killed");
            router.kill();
        } else if self.hooks.len() > 0 {
            tracing::warn!(
                "{} programs of hooks are ended, as requests wait for another program",
                self.hooks.len()
            );
            self.hooks.cut_short();
        }
    }

    /// Hands everything over when nothing is in progress that the next program could not continue.
    pub(crate) fn upgrade_when_quiet(&mut self) {
        let busy = self.forks.len() + self.hooks.len() > 0 || self.routers.running().is_some();
        if !self.upgrade.is_under_way() || busy {
            return;
        }
        let Err(why) = self.become_successor();
        tracing::error!("the other program cannot take over, and this one goes on: {why}");
        self.upgrade.call_off();
        self.start_router();
        self.manager.ready(&self.status());
    }

    /// Returns only on failure.
    fn become_successor(&self) -> io::Result<Infallible> {
        let program = self.program()?;
        let mut writer = HandoverWriter::default();
        let state = serde_json::to_vec(&State::pack(self, &mut writer)?)?;
        let packed = writer.pack_bytes(&state)?;
        let words = c_strings(argv::take_over(packed))?;
        let environment =
            std::env::vars_os().filter(|(name, _)| !NOT_HANDED_ON.iter().any(|own| name == *own));
        let environment =
            c_strings(environment.map(|(name, value)| [name, "=".into(), value].into_iter().collect()))?;
        tracing::info!("{} takes over", program.display());
        writer::drain(LAST_LINES);
        let program = CString::new(program.into_os_string().into_vec())?;
        unistd::chdir(self.options.directory())?;
        let failed = unistd::execve(&program, &words, &environment);
        // The daemon keeps no directory from being unmounted.
        unistd::chdir("/")?;
        Ok(failed?)
    }

    fn program(&self) -> io::Result<PathBuf> {
        let unknown = |why: &io::Error| io::Error::other(format!("the daemon's file is not known: {why}"));
        let program = self.upgrade.program.as_ref().map_err(unknown)?;
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
