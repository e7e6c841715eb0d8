//! The supervisor: owns the sockets and the app processes, and starts the router, which owns the requests.
//!
//! Its input is signals, orders of the router and exits of processes; its output is processes, notices and log lines.
//! It parses no data sent by clients, reads no files of apps (stat workers do), has one thread, and waits in one place only ([`poll`]).
//!
//! Each directory is a struct with its own state, whose methods return what happened: the daemon's life ([`lifecycle`]),
//! the files it opens ([`log_file`], [`nginx_socket`]), the programs of the operator ([`hooks`]), the router ([`router`]),
//! and the app processes ([`stat_workers`], [`spawn`], [`cgroups`], [`processes`]). None of them knows the others' state:
//! [`event_loop`] waits for events and hands them out, [`orders`] carries out what the router requests, and [`life`] takes
//! the daemon through its phases.

#![forbid(unsafe_code)]

mod cgroups;
mod event_loop;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hooks;
mod life;
pub(crate) mod lifecycle;
mod log_file;
mod nginx_socket;
mod orders;
pub(crate) mod poll;
mod processes;
pub(crate) mod router;
mod spawn;
mod stat_workers;

use std::os::fd::RawFd;
use std::process::ExitCode;

pub use lifecycle::daemonize;
pub use lifecycle::upgrade::report::{FORBIDDEN, UpgradeReport, UpgradeResult};
pub use lifecycle::upgrade::{StartMode, start_mode};
pub use router::process::{ROUTER_ARGUMENT, close_to_others};
pub use spawn::{Conditions, Environment, OneOff, OneOffError, Policy, Why, would_run_as};

use common::config::Options;
use common::log::writer;
use lifecycle::daemonize::Caller;
use lifecycle::{LAST_LINES, startup};

/// Runs the daemon in place of the program that packed its state under this descriptor number.
pub fn take_over(options: Options, packed: RawFd) -> ExitCode {
    match startup::take_over(options, packed) {
        Ok((mut supervisor, previous)) => {
            supervisor.resume(previous);
            supervisor.run();
            supervisor.close()
        }
        Err(why) => {
            tracing::error!(critical = true, "the daemon cannot be taken over: {why}");
            writer::finish(LAST_LINES);
            ExitCode::FAILURE
        }
    }
}

/// Runs the daemon until it is asked to end, and notifies `caller` when it is up.
pub fn run(options: Options, caller: Option<Caller>) -> ExitCode {
    match startup::open(options) {
        Ok(mut supervisor) => {
            supervisor.prepare(caller);
            supervisor.run();
            supervisor.close()
        }
        Err(why) => {
            if let Some(caller) = caller {
                caller.failed(&why.to_string());
            }
            tracing::error!(critical = true, "the daemon cannot start: {why}");
            writer::finish(LAST_LINES);
            ExitCode::FAILURE
        }
    }
}
