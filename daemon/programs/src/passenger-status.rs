//! `passenger-status`: state of the daemon, its apps and requests, as text, JSON or XML.

use std::process::ExitCode;

use tools::{self, PassengerStatus};

fn main() -> ExitCode {
    match tools::arguments::<PassengerStatus>() {
        Ok(arguments) => arguments.run(),
        Err(status) => status,
    }
}
