//! The gate's program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    gate::run(&gate::Arguments::parse())
}
