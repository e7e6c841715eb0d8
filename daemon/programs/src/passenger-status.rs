//! `passenger-status`: what the daemon is doing, for people and for scripts.

use std::process::ExitCode;

use tools::{self, PassengerStatus};

fn main() -> ExitCode {
    match tools::arguments::<PassengerStatus>() {
        Ok(arguments) => arguments.run(),
        Err(status) => status,
    }
}
