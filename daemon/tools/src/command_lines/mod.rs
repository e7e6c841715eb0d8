//! The command lines of the installed programs, for man pages, completions and the tests that compare them with the
//! documentation.

#[cfg(test)]
mod tested;

use clap::{Command, CommandFactory};

use crate::{PassengerConfig, PassengerMemoryStats, PassengerStatus};
use common::config::Arguments;

/// Returns the command line of each program, with its subcommands.
pub fn all() -> [Command; 4] {
    [
        Arguments::command(),
        PassengerStatus::command(),
        PassengerConfig::command(),
        PassengerMemoryStats::command(),
    ]
}
