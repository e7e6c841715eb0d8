//! `passenger`: runs an app for development, without nginx; each command has its own file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::start::{Start, Status, Stop};

/// The release of Passenger whose commands, directives and interfaces these are. Deployment tools such as
/// capistrano-passenger read it from the first line, and use `passenger-config restart-app` if it is 4.0.33 or higher.
const COMPATIBLE_WITH: &str = "6.0.24";

/// Runs an app for development, without nginx.
#[derive(Debug, Parser)]
#[command(name = "passenger", disable_version_flag = true, arg_required_else_help = true)]
#[command(subcommand_required = false, args_conflicts_with_subcommands = true)]
pub struct Passenger {
    /// Print the compatible release of Passenger, then the release of flying-passenger
    #[arg(short = 'v', short_alias = 'V', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an app until Ctrl-C, and restarts it when its files change
    Start(Box<Start>),
    /// Stops an app that passenger start runs
    Stop(Stop),
    /// Shows whether passenger start runs an app, and its address
    Status(Status),
}

impl Passenger {
    /// Runs the command and returns the exit status.
    pub fn run(&self) -> ExitCode {
        let outcome = match &self.command {
            Some(Command::Start(start)) => start.run(),
            Some(Command::Stop(stop)) => stop.run(),
            Some(Command::Status(status)) => status.run(),
            None => {
                println!("Phusion Passenger(R) {COMPATIBLE_WITH}");
                println!(
                    "flying-passenger {}, which is compatible with that release",
                    env!("CARGO_PKG_VERSION")
                );
                Ok(ExitCode::SUCCESS)
            }
        };
        outcome.unwrap_or_else(|message| {
            eprintln!("passenger: {message}");
            ExitCode::FAILURE
        })
    }
}
