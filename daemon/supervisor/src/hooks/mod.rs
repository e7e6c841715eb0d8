//! The operator's programs: an incident comes in, its programs are run one after the other, as the daemon's user, and
//! what they print is in the log.
//!
//! Which programs there are is the operator's word alone; of the router come only values for fixed variables.

mod own_life;
mod program;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use self::program::Program;
use super::Supervisor;
use super::lifecycle::rlimits::Originals;
use super::processes::Stage;
use super::processes::exit_status;
use super::router::log_limits::Topic;
use common::config;
use common::config::{Hook, Options};
use common::link::{Incident, ProcessId, StopHow};
use common::sys::process::{Child, End};

/// Most incidents whose programs run at a time. What happens meanwhile has none: programs that hang must not pile up.
const MOST: usize = 32;
/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Names the programs of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(u64);

/// The programs of one incident.
#[derive(Debug)]
struct Run {
    id: RunId,
    incident: Incident,
    /// The one that runs.
    program: PathBuf,
    child: Child,
    kill_at: Option<Instant>,
    /// Those that follow.
    next: VecDeque<PathBuf>,
    /// What the last one met that has failed.
    failure: Option<String>,
}

/// No program of this incident is left.
#[derive(Debug)]
struct Over {
    incident: Incident,
    failure: Option<String>,
}

/// All that run, and what is needed to run more.
#[derive(Debug)]
pub(super) struct Hooks {
    programs: config::Hooks,
    /// What every program finds in its environment besides the incident's facts.
    environment: Vec<(String, String)>,
    originals: Originals,
    running: Vec<Run>,
    last: u64,
    /// Incidents without programs since there was room.
    left_out: u64,
}

impl Hooks {
    /// Other programs from here on; those that run are not concerned.
    pub(super) fn set_programs(&mut self, programs: config::Hooks) {
        self.programs = programs;
    }

    /// Those that the router is to tell of.
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

    /// The next time at which a program is to be killed.
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

    /// No program is run any more but those for after the end.
    pub(super) fn kill_all(&mut self) {
        self.programs.retain(|hook, _| *hook == Hook::AfterWatchdogShutdown);
        self.cut_short();
    }

    /// Ends those that run, and what would follow them.
    pub(super) fn cut_short(&mut self) {
        for run in &mut self.running {
            run.next.clear();
            run.kill();
        }
    }

    /// Begins the programs of `incident`; false when none runs.
    fn begin(&mut self, incident: Incident) -> bool {
        let Some(programs) = self.programs.get(&incident.hook) else { return false };
        if self.running.len() >= MOST {
            self.left_out += 1;
            if self.left_out == 1 {
                let name = incident.hook.name();
                tracing::warn!(
                    "no program is run for {name}: {MOST} hooks have programs that have not ended"
                );
            }
            return false;
        }
        if self.left_out > 0 {
            tracing::warn!("no program was run for {} incidents", std::mem::take(&mut self.left_out));
        }
        let programs = programs.iter().cloned().collect();
        self.begin_first(incident, programs).is_ok()
    }

    fn begin_first(&mut self, incident: Incident, programs: VecDeque<PathBuf>) -> Result<(), Over> {
        self.last += 1;
        self.begin_next(RunId(self.last), Over { incident, failure: None }, programs)
    }

    /// Runs the first of `programs` that can be run; tells what there was before when none can.
    fn begin_next(&mut self, id: RunId, so_far: Over, mut programs: VecDeque<PathBuf>) -> Result<(), Over> {
        let Over { incident, mut failure } = so_far;
        while let Some(path) = programs.pop_front().filter(|_| failure.is_none() || goes_on(incident.hook)) {
            let variables = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            match Program::new(&path, &incident, variables).and_then(|program| program.start(&self.originals))
            {
                Ok(child) => {
                    let kill_at = Some(Instant::now() + LIMIT);
                    let next = programs;
                    self.running.push(Run { id, incident, program: path, child, kill_at, next, failure });
                    return Ok(());
                }
                Err(why) => {
                    let (hook, path) = (incident.hook.name(), path.display());
                    let what = format!("the program {path} of the hook {hook} cannot be started: {why}");
                    tracing::error!("{what}");
                    failure = Some(what);
                }
            }
        }
        Err(Over { incident, failure })
    }

    /// Takes out the run whose program has ended, with how it did.
    fn take_ended(&mut self, id: RunId) -> Option<(Run, End)> {
        let at = self.running.iter().position(|run| run.id == id)?;
        let end = match self.running[at].child.try_reap() {
            Ok(Some(end)) => end,
            Ok(None) => return None,
            Err(_) => End::Unknown,
        };
        Some((self.running.swap_remove(at), end))
    }
}

impl Run {
    /// For the log.
    fn name(&self) -> String {
        format!("the program {} of the hook {}", self.program.display(), self.incident.hook.name())
    }

    fn kill(&mut self) {
        self.kill_at = None;
        if let Err(why) = self.child.signal_group(Signal::SIGKILL) {
            tracing::warn!("{} cannot be killed: {why}", self.name());
        }
    }
}

impl Supervisor {
    /// Runs the programs that the operator named for this.
    pub(super) fn happened(&mut self, incident: Incident) {
        if incident.hook.is_of_the_daemon() {
            if self.log_limits.admit(Topic::Refused, Instant::now()) {
                tracing::error!("the router has no word in the hook {}", incident.hook.name());
            }
            return;
        }
        let doomed = doomed(&incident);
        if !self.shutdown.is_serving() || !self.hooks.begin(incident) {
            self.kill_doomed(doomed);
        } else if let Some(process) = doomed.and_then(|process| self.processes.get_mut(process)) {
            // It is left as it is for the programs to look at, and no later router may take it for a good one.
            process.stage = Stage::Stopping;
        }
    }

    /// A program has ended: the next one's turn, or the incident's end.
    pub(super) fn hook_ended(&mut self, id: RunId) {
        let Some((mut run, end)) = self.hooks.take_ended(id) else { return };
        if end != End::Status(0) {
            let what = format!("{} {}", run.name(), exit_status::sentence(end));
            tracing::warn!("{what}");
            run.failure = Some(what);
        }
        let so_far = Over { incident: run.incident, failure: run.failure };
        if let Err(over) = self.hooks.begin_next(id, so_far, run.next) {
            self.programs_over(over);
        }
    }

    fn programs_over(&mut self, over: Over) {
        if over.incident.hook.is_of_the_daemon() {
            self.own_programs_over(over.incident.hook, over.failure);
        } else {
            self.kill_doomed(doomed(&over.incident));
        }
    }

    fn kill_doomed(&mut self, doomed: Option<ProcessId>) {
        if let Some(process) = doomed {
            self.stop(process, StopHow::Kill);
        }
    }
}

/// Whether the other programs run although one has failed.
fn goes_on(hook: Hook) -> bool {
    hook != Hook::BeforeWatchdogInitialization
}

/// Whom the incident costs its life: no other hook does.
fn doomed(incident: &Incident) -> Option<ProcessId> {
    incident.doomed.filter(|_| incident.hook == Hook::MaxRequestTimeReached)
}
