//! The daemon's program: the supervisor, and the router that it starts from the same file.

use std::process::ExitCode;

use clap::Parser;
use common::config::{Action, Arguments, Options};
use common::log;
use common::log::{LogFormat, Part};
use common::sys::descriptors;
use supervisor::StartMode;
use supervisor::daemonize;
use supervisor::daemonize::{Caller, Side};

use nix::unistd;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == supervisor::ROUTER_ARGUMENT) {
        return run_router();
    }
    if let Err(err) = descriptors::open_standard_ones() {
        eprintln!("flying-passenger: cannot open /dev/null: {err}");
        return ExitCode::FAILURE;
    }
    let (mode, arguments) = supervisor::start_mode(std::env::args_os());
    if mode == (StartMode::Preflight { would: false }) {
        eprintln!(
            "flying-passenger: this release cannot take over from the running daemon: its state has an unknown format"
        );
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse_from(arguments);
    match Options::new(&arguments, unistd::geteuid()) {
        Ok(_) if mode == (StartMode::Preflight { would: true }) => ExitCode::SUCCESS,
        Ok(_) if arguments.action == Some(Action::CheckConfig) => {
            println!("flying-passenger: the configuration is valid");
            ExitCode::SUCCESS
        }
        Ok(options) => {
            if let StartMode::TakeOver(state) = mode {
                log::init(options.log_level, options.log_format, Part::Supervisor);
                return supervisor::take_over(options, state);
            }
            let caller = match enter_background(&options) {
                Ok(caller) => caller,
                Err(status) => return status,
            };
            log::init(options.log_level, options.log_format, Part::Supervisor);
            supervisor::run(options, caller)
        }
        Err(errors) => {
            for err in errors {
                eprintln!("flying-passenger: {err}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Moves the daemon to the background if requested; returns the waiting caller, and in the caller its exit status.
fn enter_background(options: &Options) -> Result<Option<Caller>, ExitCode> {
    if !options.daemonize {
        return Ok(None);
    }
    match daemonize::begin() {
        Ok(Side::Daemon(caller)) => Ok(Some(caller)),
        Ok(Side::Caller(status)) => Err(status),
        Err(err) => {
            eprintln!("flying-passenger: cannot move to the background: {err}");
            Err(ExitCode::FAILURE)
        }
    }
}

/// Runs the router. The supervisor executes this with the link as an open descriptor.
fn run_router() -> ExitCode {
    let level = argument("--log-level=").and_then(|level| level.parse().ok()).unwrap_or_default();
    let format = argument("--log-format=").and_then(|format| LogFormat::of_name(&format)).unwrap_or_default();
    log::init(level, format, Part::Router);
    let link = descriptors::take_link().and_then(|link| supervisor::close_to_others().map(|()| link));
    match link {
        Ok(link) => router::run(link),
        Err(err) => {
            eprintln!("flying-passenger: the router can be started only by the daemon: {err}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the value of one of the router's arguments.
fn argument(name: &str) -> Option<String> {
    std::env::args_os().find_map(|word| word.to_str()?.strip_prefix(name).map(str::to_owned))
}
