//! What is told of the start of a process: how far it came, and why it failed. It starts nothing.

mod failure;
mod journey;

pub(crate) use failure::{NO_PIPES, SpawnFailure};
pub(super) use journey::{Journey, Step};
