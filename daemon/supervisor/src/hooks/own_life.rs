//! The operator's programs for the daemon's own life: before and after it begins to serve, before and after it ends.
//!
//! Apps and the router are not involved: a phase of the daemon starts the programs, and their end is the event that
//! ends the phase.

use std::time::Duration;

use super::super::Supervisor;
use super::{Hooks, LIMIT, Over};
use crate::lifecycle::phase::Event;
use common::config::Hook;
use common::link::Incident;

impl Hooks {
    /// Returns the longest time that the programs of a hook take together.
    pub(crate) fn time_for(&self, hook: Hook) -> Duration {
        let count = self.programs.get(&hook).map_or(0, Vec::len);
        LIMIT * u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Starts the programs of one of the daemon's own hooks, regardless of what else runs.
    fn begin_own(&mut self, hook: Hook) -> Result<(), Over> {
        let programs = self.programs.get(&hook).into_iter().flatten().cloned().collect();
        self.begin_first(Incident { hook, doomed: None, facts: Vec::new() }, programs)
    }
}

impl Supervisor {
    /// Runs the programs for before anything is served; the daemon serves when they have succeeded.
    pub(crate) fn prepare(&mut self) {
        let hook = Hook::BeforeWatchdogInitialization;
        let time = self.hooks.time_for(hook);
        if !time.is_zero() {
            self.manager.preparing(time);
        }
        self.run_own(hook);
    }

    /// Runs the programs for a daemon that serves; the daemon does not wait for them.
    pub(crate) fn tell_that_it_serves(&mut self) {
        self.run_own(Hook::AfterWatchdogInitialization);
    }

    /// Runs the programs for before the end, which begins when they have ended.
    pub(crate) fn part(&mut self) {
        self.run_own(Hook::BeforeWatchdogShutdown);
    }

    /// Runs the programs for after the end; none when the operator asked twice, and none when nothing was served.
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

    /// Continues after the last program of one of the daemon's own hooks.
    pub(super) fn own_programs_over(&mut self, hook: Hook, failure: Option<String>) {
        match (hook, failure) {
            (Hook::BeforeWatchdogInitialization, Some(why)) => self.refuse_to_start(&why),
            (Hook::AfterWatchdogInitialization, _) => {}
            _ => self.step(Event::ProgramsDone),
        }
    }
}
