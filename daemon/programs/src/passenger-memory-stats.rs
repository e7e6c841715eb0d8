//! `passenger-memory-stats`: memory used by nginx, the daemon and the apps.

use std::process::ExitCode;

use tools::PassengerMemoryStats;

fn main() -> ExitCode {
    tools::arguments::<PassengerMemoryStats>().map_or_else(|status| status, |arguments| arguments.run())
}
