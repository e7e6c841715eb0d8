//! The progress of the daemon through its phases, and their time limits, as the table in [`phase`](super::phase) defines.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::phase::{self, Action, Event, Phase};

/// Time for the router to report that it has finished, after its own limit.
const SLACK: Duration = Duration::from_secs(2);
/// Minimum time for processes to end, however long the router took.
const MIN_GRACE: Duration = Duration::from_secs(5);
/// Time after SIGKILL; only the kernel can delay a process longer.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Progress of the shutdown.
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: Phase,
    /// How long it may take.
    pub(crate) limit: Duration,
    /// When the whole shutdown should be complete.
    end: Option<Instant>,
    /// When the current phase ends.
    pub(crate) due: Option<Instant>,
    /// Whether requests were served at any time.
    pub(crate) served: bool,
    /// Whether a program of the operator prevented the start.
    pub(crate) refused: bool,
    /// Whether the operator asked twice, or the supervisor cannot continue.
    pub(crate) impatient: bool,
}

impl Shutdown {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            phase: Phase::Preparing,
            limit,
            end: None,
            due: None,
            served: false,
            refused: false,
            impatient: false,
        }
    }

    /// Whether requests are served and the router is not shutting down.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Parting)
    }

    /// Whether nothing is served yet.
    pub(crate) fn is_preparing(&self) -> bool {
        self.phase == Phase::Preparing
    }

    /// Whether requests are served and no shutdown was requested.
    pub(crate) fn is_settled(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Continues after a previous program that has served.
    pub(crate) fn take_over(&mut self) {
        self.phase = Phase::Serving;
        self.served = true;
    }

    /// Whether there is no orderly shutdown: nothing was served, or the operator asked twice.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.impatient || !self.served
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Takes one step of the phase table.
    pub(crate) fn step(&mut self, event: Event) -> Action {
        let (next, action) = phase::step(self.phase, event);
        if next != self.phase {
            self.enter(next, Instant::now());
        }
        action
    }

    /// The maximum duration of the shutdown once no more requests are accepted, with the programs that follow it.
    pub(crate) fn time_to_end(&self, programs: Duration) -> Duration {
        self.limit + SLACK + MIN_GRACE + AFTER_KILL + programs
    }

    /// Returns the exit status of the daemon.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.impatient || self.refused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Enters a phase and sets its time limit.
    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.due = match phase {
            Phase::Preparing | Phase::Serving | Phase::Parting | Phase::Concluding | Phase::Over => None,
            Phase::Draining => Some(self.end_from(now) + SLACK),
            Phase::Stopping => Some(self.end_from(now).max(now + MIN_GRACE.min(self.limit))),
            Phase::Killing => Some(now + AFTER_KILL),
        };
    }

    /// When the whole shutdown should be complete: one limit, from its beginning.
    fn end_from(&mut self, now: Instant) -> Instant {
        *self.end.get_or_insert(now + self.limit)
    }
}
