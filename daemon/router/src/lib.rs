//! The router: passes requests from nginx to application processes, and their responses back.
//!
//! It runs unprivileged, parses all untrusted input, and asks the supervisor for operations that need privileges. It
//! has one thread and one event loop. A request passes through [`nginx`] with [`nginx_conn`], then [`request`], which
//! calls [`apps`], [`watch`], [`dispatch`] with its [`pool`], [`app_protocol`] and [`response`] in turn. These modules
//! have no import cycle.

pub(crate) mod admin;
pub(crate) mod app;
pub(crate) mod app_protocol;
pub(crate) mod apps;
pub(crate) mod connections;
mod dispatch;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod metrics;
pub(crate) mod nginx;
pub(crate) mod nginx_conn;
pub(crate) mod options;
mod output;
mod pool;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod run;
mod shutdown;
mod spawn;
pub(crate) mod state;
pub(crate) mod supervisor_link;
pub(crate) mod sys;
pub(crate) mod watch;

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
        let ended = runtime.block_on(run::run(link));
        // Does not wait for a thread that is blocked by a file system.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            error!("the router failed: {err}");
            ExitCode::FAILURE
        }
    }
}
