//! `flying-passenger-gate`: a front of the daemon beside nginx. It accepts HTTP/1.1 and HTTP/2 without TLS, and speaks the
//! protocol of the nginx module to the daemon.
//!
//! Bytes of strangers are parsed here, in a process without privileges, and no application process notices its end.

#![forbid(unsafe_code)]

mod arguments;
mod daemon;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod http1;
mod http2;
mod lifecycle;
mod listen;
mod options;
mod public_files;
mod request;
mod serve;
mod sites;

use std::process::ExitCode;

pub use arguments::Arguments;
use common::log::{self, Part};
use options::Options;
use tracing::error;

/// Most threads that serve requests.
const MAX_THREADS: usize = 4;

/// Runs the gate until a signal ends it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let options = match Options::new(arguments) {
        Ok(options) => options,
        Err(errors) => {
            for err in errors {
                eprintln!("flying-passenger-gate: {err}");
            }
            return ExitCode::FAILURE;
        }
    };
    if arguments.check {
        println!("flying-passenger-gate: the configuration is valid");
        return ExitCode::SUCCESS;
    }
    log::init(options.log_level, options.log_format, Part::Gate);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(lifecycle::run(arguments, options));
            // A thread that waits for a dead disk does not end.
            runtime.shutdown_background();
            ended
        }
        Err(err) => Err(format!("cannot start threads: {err}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!("{problem}");
            ExitCode::FAILURE
        }
    }
}
