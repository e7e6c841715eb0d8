//! Steps of a process's start with their durations, for the report of a start that fails.

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;
use tokio::time::Instant;

use crate::app::route::Route;

/// Most characters of a command that are reported.
const MAX_ENTRY: usize = 300;

/// One step of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// The supervisor finds the app and its user, opens sockets and creates a process.
    Prepare,
    /// The process switches to its user and runs the program.
    Execute,
    /// The loader loads the app, which ends when the app is ready.
    Load,
    /// The preloader creates a process.
    Fork,
    /// The forked process runs its hooks and becomes ready.
    Begin,
    /// The program listens, and responds if required.
    Answer,
}

/// Result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Done,
    Failed,
    NotBegun,
}

/// A step and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StepResult {
    step: Step,
    outcome: Outcome,
    /// How long it took, in milliseconds.
    ms: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Execute => "execute",
            Self::Load => "load",
            Self::Fork => "fork",
            Self::Begin => "begin",
            Self::Answer => "answer",
        })
    }
}

impl fmt::Display for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Done => write!(f, "{} done in {} ms", self.step, self.ms),
            Outcome::Failed => write!(f, "{} failed after {} ms", self.step, self.ms),
            Outcome::NotBegun => write!(f, "{} not begun", self.step),
        }
    }
}

/// A start in progress.
#[derive(Debug)]
pub(crate) struct StartupTrace {
    steps: Vec<Step>,
    /// When each of the first steps began; the last of them is in progress.
    begun: RefCell<Vec<Instant>>,
    /// The interpreter that was found, and why; empty if the usual one is run.
    program: RefCell<String>,
}

impl StartupTrace {
    /// Returns the trace of a process, or a preloader, that is started from its program.
    pub(crate) fn from_program(route: &Route, preloader: bool) -> Self {
        let mut steps = vec![Step::Prepare, Step::Execute];
        let is_loaded = route.kind.loader().is_some();
        if is_loaded {
            steps.push(Step::Load);
        }
        if !is_loaded
            || (!preloader && !route.kind.has_sessions() && route.settings.router.app_ready_path.is_some())
        {
            steps.push(Step::Answer);
        }
        Self::of(steps)
    }

    /// Returns the trace of a process that is forked from a preloader.
    pub(crate) fn from_preloader() -> Self {
        Self::of(vec![Step::Fork, Step::Begin])
    }

    fn of(steps: Vec<Step>) -> Self {
        Self { steps, begun: RefCell::new(vec![Instant::now()]), program: RefCell::default() }
    }

    /// Records the interpreter that was found.
    pub(crate) fn runs(&self, program: &str) {
        program.clone_into(&mut self.program.borrow_mut());
    }

    /// Returns what is run with which interpreter, and why, as far as it was found and not configured. `None` also for
    /// a process that is forked: its preloader has it.
    pub(crate) fn entry(&self, route: &Route) -> Option<String> {
        let (entry, program) = (route.entry(), self.program.borrow());
        if !self.steps.contains(&Step::Execute) || (entry.reason.is_none() && program.is_empty()) {
            return None;
        }
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let mut text: String = entry.value.chars().take(MAX_ENTRY).map(printable).collect();
        if let Some(reason) = entry.reason {
            text.push_str(&format!(" (found: {reason})"));
        }
        if !program.is_empty() {
            text.push_str(&format!(", with {program}"));
        }
        Some(text)
    }

    /// Records that the process exists.
    pub(crate) fn has_process(&self) {
        self.reach(1);
    }

    /// Records that a step has begun and that all before it have ended. Ignores a step that is not part of the start.
    pub(crate) fn reaches(&self, step: Step) {
        if let Some(at) = self.steps.iter().position(|other| *other == step) {
            self.reach(at);
        }
    }

    fn reach(&self, at: usize) {
        let mut begun = self.begun.borrow_mut();
        let now = Instant::now();
        while begun.len() <= at {
            begun.push(now);
        }
    }

    /// Returns the steps when the current one fails now.
    pub(crate) fn failed(&self) -> Vec<StepResult> {
        self.steps_with_results(Outcome::Failed)
    }

    /// Returns the steps when the current one, which is the last, is done now.
    pub(crate) fn done(&self) -> String {
        let results = self.steps_with_results(Outcome::Done);
        results.iter().map(StepResult::to_string).collect::<Vec<_>>().join(", ")
    }

    fn steps_with_results(&self, current: Outcome) -> Vec<StepResult> {
        let begun = self.begun.borrow();
        let result = |(at, step): (usize, &Step)| {
            let outcome = match begun.len() - 1 {
                last if at < last => Outcome::Done,
                last if at == last => current,
                _ => Outcome::NotBegun,
            };
            let end = begun.get(at + 1).copied().unwrap_or_else(Instant::now);
            let took = begun.get(at).map(|begin| end.saturating_duration_since(*begin)).unwrap_or_default();
            StepResult { step: *step, outcome, ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }
        };
        self.steps.iter().enumerate().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(trace: &StartupTrace) -> Vec<(Step, Outcome)> {
        trace.failed().into_iter().map(|result| (result.step, result.outcome)).collect()
    }

    #[test]
    fn the_current_step_is_the_one_that_fails() {
        let trace = StartupTrace::of(vec![Step::Prepare, Step::Execute, Step::Load]);
        let not_begun = (Step::Load, Outcome::NotBegun);
        assert_eq!(
            outcomes(&trace),
            [(Step::Prepare, Outcome::Failed), (Step::Execute, Outcome::NotBegun), not_begun]
        );
        trace.has_process();
        trace.has_process();
        trace.reaches(Step::Answer);
        assert_eq!(
            outcomes(&trace),
            [(Step::Prepare, Outcome::Done), (Step::Execute, Outcome::Failed), not_begun]
        );
        trace.reaches(Step::Load);
        assert_eq!(outcomes(&trace)[1..], [(Step::Execute, Outcome::Done), (Step::Load, Outcome::Failed)]);
    }

    #[test]
    fn a_start_that_is_done_reports_every_step() {
        let trace = StartupTrace::of(vec![Step::Fork, Step::Begin]);
        trace.reaches(Step::Begin);
        let results = trace.done();
        let results: Vec<_> =
            results.split(", ").map(|result| result.split(" in ").next().unwrap()).collect();
        assert_eq!(results, ["fork done", "begin done"]);
    }

    #[test]
    fn what_is_run_is_described_if_it_was_found() {
        let mut route = Route::for_test("");
        let trace = StartupTrace::from_program(&route, false);
        assert_eq!(trace.entry(&route), None);
        trace.runs("/srv/venv/bin/ruby (x)");
        assert_eq!(trace.entry(&route).as_deref(), Some("config.ru, with /srv/venv/bin/ruby (x)"));
        route.set_entry(&protocol::found::encode("it exists", "web.ru"));
        assert_eq!(
            trace.entry(&route).as_deref(),
            Some("web.ru (found: it exists), with /srv/venv/bin/ruby (x)")
        );
        assert_eq!(StartupTrace::from_preloader().entry(&route), None);
    }

    #[test]
    fn a_result_is_formatted_with_its_duration() {
        let result = StepResult { step: Step::Load, outcome: Outcome::Failed, ms: 12 };
        assert_eq!(result.to_string(), "load failed after 12 ms");
    }
}
