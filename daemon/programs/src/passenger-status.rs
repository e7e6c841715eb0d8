//! `passenger-status`: state of the daemon, its apps and requests, as text, JSON or XML.

use std::process::ExitCode;

use tools::PassengerStatus;

fn main() -> ExitCode {
    tools::arguments::<PassengerStatus>().map_or_else(|status| status, |arguments| arguments.run())
}
