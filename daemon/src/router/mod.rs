//! The router: requests in from nginx, answers back, application processes in between.
//!
//! It runs unprivileged, parses everything that strangers wrote, and asks the supervisor for what needs rights. One
//! thread, one event loop: a request never changes threads. The modules follow a request: [`accept`], [`connection`],
//! [`routes`], [`restart`], [`dispatch`] with its [`pool`], [`forward`] and [`reply`], joined in [`exchange`]. What one
//! of them imports never imports it.

mod accept;
pub(crate) mod admin;
mod announcement;
pub(crate) mod app;
mod board;
mod connection;
mod deployments;
mod descriptors;
mod direct;
mod dispatch;
mod doors;
mod exchange;
mod figures;
mod forward;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod globals;
mod hooks;
mod incomplete;
mod input;
mod log_file;
mod log_limit;
mod meaningless;
mod memory;
mod nginx;
mod notices;
mod out_of_band;
mod output;
mod pool;
mod probe;
mod reply;
mod restart;
mod route;
mod routes;
pub(crate) mod settings;
mod shutdown;
mod spawn;
mod standings;
mod start_report;
mod status_page;
mod sticky;
mod supervisor;
mod sweep;
mod troubles;
mod tunnels;
mod under_way;
mod usages;
mod wiring;
mod worker;

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use tracing::error;

/// Runs the router on its end of the link until the supervisor ends it.
pub fn run(link: OwnedFd) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(61)
        .build_local(tokio::runtime::LocalOptions::default());
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(notices::run(link));
        // A thread that hangs on somebody's disk is not waited for.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            error!("the router cannot work: {err}");
            ExitCode::FAILURE
        }
    }
}
