//! The router: passes requests from nginx to application processes, and their responses back.
//!
//! It runs unprivileged, parses all untrusted input, and asks the supervisor for operations that need privileges. It
//! has one event loop for each of its threads, of which the main one does everything but requests. The modules are listed in the order in which a request meets them: [`request`] calls
//! [`apps`], [`watch`], [`dispatch`] with its [`pool`], [`app_protocol`] and [`response`] in turn. They have no import
//! cycle.

// The event loop, the state that its tasks share, and the link to the supervisor.
mod control_plane;
mod lock;
pub(crate) mod run;
mod shutdown;
pub(crate) mod state;
pub(crate) mod supervisor_link;
pub(crate) mod threads;

// A connection from nginx: its frames, then its state.
pub(crate) mod connections;
pub(crate) mod nginx;
pub(crate) mod nginx_conn;

// The daemon-wide options that a connection brings.
pub(crate) mod options;

// A request, from its head to the end of its response.
pub(crate) mod request;

// The app that it is for.
pub(crate) mod apps;

pub(crate) mod app;

// Whether that app must be restarted first.
pub(crate) mod watch;

// The process that serves it.
mod dispatch;
mod pool;

// What is sent to the process and received from it.
pub(crate) mod app_protocol;

// What is sent to nginx.
pub(crate) mod response;

// How much of the thread a task may use.
pub(crate) mod fair_share;

// If there is no process: its start, and why that failed.
mod spawn;

pub(crate) mod report;

// What processes print.
mod output;

// What administrators see and order.
pub(crate) mod metrics;

pub(crate) mod admin;

// System calls.
pub(crate) mod sys;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use tracing::error;

/// Runs the router on its end of the link until the supervisor ends it.
pub fn run(link: OwnedFd) -> ExitCode {
    let ended = runtime().and_then(|runtime| {
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

/// Creates the event loop of a thread.
fn runtime() -> std::io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(61)
        .build_local(tokio::runtime::LocalOptions::default())
}
