//! `passenger-memory-stats`: how much memory nginx, the daemon and the apps hold.

use std::process::ExitCode;

use tools::{self, PassengerMemoryStats};

fn main() -> ExitCode {
    match tools::arguments::<PassengerMemoryStats>() {
        Ok(arguments) => arguments.run(),
        Err(status) => status,
    }
}
