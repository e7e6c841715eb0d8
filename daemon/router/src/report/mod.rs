//! What is told of the start of a process: how far it came, and why it failed. It starts nothing.

mod failure;
pub(crate) mod startup_trace;

pub(crate) use failure::{NO_PIPES, SpawnFailure};
pub(super) use startup_trace::{StartupTrace, Step};
