//! `passenger-config`: administration of a running daemon.

use std::process::ExitCode;

use tools::PassengerConfig;

fn main() -> ExitCode {
    tools::arguments::<PassengerConfig>().map_or_else(|status| status, |arguments| arguments.run())
}
