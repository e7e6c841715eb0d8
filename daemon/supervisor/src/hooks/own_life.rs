//! The operator's programs for the daemon's own life: before it serves and after it began to, before it ends and after
//! it has.
//!
//! Apps have no part in it, and the router has no word: what comes in is a phase of the daemon's, what goes out is the
//! event that ends the phase.

use std::time::Duration;

use super::super::Supervisor;
use super::{Hooks, LIMIT, Over};
use crate::lifecycle::phase::Event;
use common::config::Hook;
use common::link::Incident;

impl Hooks {
    /// The longest that the programs of a hook take together.
    pub(crate) fn time_for(&self, hook: Hook) -> Duration {
        let count = self.programs.get(&hook).map_or(0, Vec::len);
        LIMIT * u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Begins the programs of a hook of the daemon's own, whatever else runs.
    fn begin_own(&mut self, hook: Hook) -> Result<(), Over> {
        let programs = self.programs.get(&hook).into_iter().flatten().cloned().collect();
        self.begin_first(Incident { hook, doomed: None, facts: Vec::new() }, programs)
    }
}

impl Supervisor {
    /// Runs the programs for before anything is served; the daemon serves when they have ended well.
    pub(crate) fn prepare(&mut self) {
        let hook = Hook::BeforeWatchdogInitialization;
        let time = self.hooks.time_for(hook);
        if !time.is_zero() {
            self.manager.preparing(time);
        }
        self.run_own(hook);
    }

    /// Runs the programs for a daemon that serves; nobody waits for them.
    pub(crate) fn tell_that_it_serves(&mut self) {
        self.run_own(Hook::AfterWatchdogInitialization);
    }

    /// Runs the programs for before the end, which begins when they have ended.
    pub(crate) fn part(&mut self) {
        self.run_own(Hook::BeforeWatchdogShutdown);
    }

    /// Runs the programs for after the end; none for an operator who asked twice, and none when nothing was served.
    pub(crate) fn conclude(&mut self) {
        if self.shutdown.is_cut_short() {
            self.step(Event::ProgramsDone);
        } else {
            self.run_own(Hook::AfterWatchdogShutdown);
        }
    }

    fn run_own(&mut self, hook: Hook) {
        if let Err(over) = self.hooks.begin_own(hook) {
            self.programs_over(over);
        }
    }

    /// No program of a hook of the daemon's own is left.
    pub(super) fn own_programs_over(&mut self, hook: Hook, failure: Option<String>) {
        match (hook, failure) {
            (Hook::BeforeWatchdogInitialization, Some(why)) => self.refuse_to_start(&why),
            (Hook::AfterWatchdogInitialization, _) => {}
            _ => self.step(Event::ProgramsDone),
        }
    }
}
