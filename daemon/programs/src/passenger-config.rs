//! `passenger-config`: administration of a running daemon.

use std::process::ExitCode;

use tools::{self, PassengerConfig};

fn main() -> ExitCode {
    match tools::arguments::<PassengerConfig>() {
        Ok(arguments) => arguments.run(),
        Err(status) => status,
    }
}
