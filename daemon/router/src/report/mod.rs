//! Reports of the start of a process: `startup_trace` records how far it came, `failure` why it failed. Starts nothing.

mod failure;
pub(crate) mod startup_trace;

pub(crate) use failure::{NO_PIPES, SpawnFailure, log_again};
pub(crate) use startup_trace::StepResult;
pub(super) use startup_trace::{StartupTrace, Step};
