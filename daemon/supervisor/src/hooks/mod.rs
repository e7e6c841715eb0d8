//! The operator's hook programs: those of an incident run one by one, as the daemon's user, with logged output.
//!
//! Only the operator names programs; the router supplies only values for fixed variables.

mod program;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use self::program::Program;
use super::lifecycle::rlimits::Originals;
use common::config::{self, Hook, Options};
use common::link::{Incident, ProcessId};
use common::sys::process::{Child, End};

/// Most incidents whose programs run at a time. Further ones run none: programs that hang must not accumulate.
const MAX_INCIDENTS: usize = 32;
/// How long one program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// Identifies the programs of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(u64);

/// The programs of one incident.
#[derive(Debug)]
struct Run {
    id: RunId,
    incident: Incident,
    /// The program that runs.
    program: PathBuf,
    child: Child,
    kill_at: Option<Instant>,
    /// The programs that follow.
    next: VecDeque<PathBuf>,
    /// The error of the last program that failed.
    failure: Option<String>,
}

/// An incident whose programs have all ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) incident: Incident,
    /// The error of the last program that failed.
    pub(super) failure: Option<String>,
}

/// All running programs, and what is needed to run more.
#[derive(Debug)]
pub(super) struct Hooks {
    /// The programs for further incidents.
    pub(super) programs: config::Hooks,
    /// The environment of every program besides the incident's facts.
    environment: Vec<(String, String)>,
    originals: Originals,
    running: Vec<Run>,
    last: u64,
    /// Incidents without programs since the limit was reached.
    left_out: u64,
}

impl Hooks {
    /// Returns the hooks whose incidents the router reports.
    pub(super) fn of_apps(&self) -> Vec<Hook> {
        self.programs.keys().copied().filter(|hook| !hook.is_of_the_daemon()).collect()
    }

    pub(super) fn new(options: &Options, originals: Originals) -> Self {
        let text = |path: &PathBuf| path.display().to_string();
        Self {
            programs: options.hooks.clone(),
            environment: vec![
                ("PASSENGER_SOCKET_FILE".to_owned(), text(&options.socket.path)),
                (config::REGISTRY_VARIABLE.to_owned(), text(&options.registry)),
            ],
            originals,
            running: Vec::new(),
            last: 0,
            left_out: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (RunId, &Child)> {
        self.running.iter().map(|run| (run.id, &run.child))
    }

    /// Returns the next time at which a program is to be killed.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.running.iter().filter_map(|run| run.kill_at).min()
    }

    pub(super) fn kill_overdue(&mut self, now: Instant) {
        for run in self.running.iter_mut().filter(|run| run.kill_at.is_some_and(|due| due <= now)) {
            let limit = LIMIT.as_secs();
            tracing::warn!("{} has not ended within {limit} s and is killed", run.name());
            run.kill();
        }
    }

    /// Kills all programs, and keeps only those that run after the end.
    pub(super) fn kill_all(&mut self) {
        self.programs.retain(|hook, _| *hook == Hook::AfterWatchdogShutdown);
        self.kill_running();
    }

    /// Kills the running programs and drops those that would follow.
    pub(super) fn kill_running(&mut self) {
        for run in &mut self.running {
            run.next.clear();
            run.kill();
        }
    }

    /// Starts the programs of `incident`; false when none runs.
    pub(super) fn begin(&mut self, incident: Incident) -> bool {
        let Some(programs) = self.programs.get(&incident.hook) else { return false };
        if self.running.len() >= MAX_INCIDENTS {
            self.left_out += 1;
            if self.left_out == 1 {
                let name = incident.hook.name();
                tracing::warn!(
                    "running no program for hook {name}: the programs of {MAX_INCIDENTS} incidents have not ended"
                );
            }
            return false;
        }
        if self.left_out > 0 {
            tracing::warn!("no program was run for {} incidents", std::mem::take(&mut self.left_out));
        }
        let programs = programs.iter().cloned().collect();
        self.begin_first(incident, programs).is_none()
    }

    /// Starts the programs of one of the daemon's own hooks, regardless of what else runs.
    pub(super) fn begin_own(&mut self, hook: Hook) -> Option<Finished> {
        let programs = self.programs.get(&hook).into_iter().flatten().cloned().collect();
        self.begin_first(Incident { hook, kill_afterwards: None, facts: Vec::new() }, programs)
    }

    /// Returns the longest time that the programs of a hook take together.
    pub(super) fn time_for(&self, hook: Hook) -> Duration {
        let count = self.programs.get(&hook).map_or(0, Vec::len);
        LIMIT * u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn begin_first(&mut self, incident: Incident, programs: VecDeque<PathBuf>) -> Option<Finished> {
        self.last += 1;
        self.begin_next(RunId(self.last), Finished { incident, failure: None }, programs)
    }

    /// Starts the first of `programs` that can be started; returns the incident and the last failure when none can.
    fn begin_next(
        &mut self,
        id: RunId,
        so_far: Finished,
        mut programs: VecDeque<PathBuf>,
    ) -> Option<Finished> {
        let Finished { incident, mut failure } = so_far;
        while let Some(path) =
            programs.pop_front().filter(|_| failure.is_none() || continues_after_failure(incident.hook))
        {
            let variables = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            match Program::new(&path, &incident, variables).and_then(|program| program.start(&self.originals))
            {
                Ok(child) => {
                    let kill_at = Some(Instant::now() + LIMIT);
                    let next = programs;
                    self.running.push(Run { id, incident, program: path, child, kill_at, next, failure });
                    return None;
                }
                Err(why) => {
                    let (hook, path) = (incident.hook.name(), path.display());
                    let what = format!("the program {path} of the hook {hook} cannot be started: {why}");
                    tracing::error!("{what}");
                    failure = Some(what);
                }
            }
        }
        Some(Finished { incident, failure })
    }

    /// Starts the next program after one has ended; returns the incident when there is none.
    pub(super) fn ended(&mut self, id: RunId) -> Option<Finished> {
        let at = self.running.iter().position(|run| run.id == id)?;
        let end = match self.running[at].child.try_reap() {
            Ok(Some(end)) => end,
            Ok(None) => return None,
            Err(_) => End::Unknown,
        };
        let Run { incident, program, next, mut failure, .. } = self.running.swap_remove(at);
        if end != End::Status(0) {
            let what = format!("{} {end}", name(&program, &incident));
            tracing::warn!("{what}");
            failure = Some(what);
        }
        self.begin_next(id, Finished { incident, failure }, next)
    }
}

impl Run {
    /// Returns its name for the log.
    fn name(&self) -> String {
        name(&self.program, &self.incident)
    }

    fn kill(&mut self) {
        self.kill_at = None;
        if let Err(why) = self.child.signal_group(Signal::SIGKILL) {
            tracing::warn!("{} cannot be killed: {why}", self.name());
        }
    }
}

fn name(program: &Path, incident: &Incident) -> String {
    format!("the program {} of the hook {}", program.display(), incident.hook.name())
}

/// Whether the other programs run although one has failed.
fn continues_after_failure(hook: Hook) -> bool {
    hook != Hook::BeforeWatchdogInitialization
}

/// Returns the process that is killed after the incident: only this hook has one.
pub(super) fn kill_afterwards(incident: &Incident) -> Option<ProcessId> {
    incident.kill_afterwards.filter(|_| incident.hook == Hook::MaxRequestTimeReached)
}
