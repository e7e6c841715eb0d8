//! `passenger`: one app for development, without nginx.

use std::process::ExitCode;

use tools::Passenger;

fn main() -> ExitCode {
    tools::arguments::<Passenger>().map_or_else(|status| status, |arguments| arguments.run())
}
