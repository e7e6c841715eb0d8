//! `passenger-memory-stats`: memory used by nginx, the daemon and the apps.

use std::process::ExitCode;

use tools::{self, PassengerMemoryStats};

fn main() -> ExitCode {
    match tools::arguments::<PassengerMemoryStats>() {
        Ok(arguments) => arguments.run(),
        Err(status) => status,
    }
}
