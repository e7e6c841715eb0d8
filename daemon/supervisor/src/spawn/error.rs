//! Errors of a start: sentences for the log and for the report of a failed start.

use std::io;

use nix::libc;
use protocol::request::AppKind;

use super::app_files::AppFilesError;
use super::user::UserError;
use crate::cgroups::CgroupError;

/// Why no process was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error(transparent)]
    AppFiles(#[from] AppFilesError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("cannot check who can connect to the socket for nginx: {0}")]
    Policy(io::Error),
    #[error("apps of type \"{}\" cannot be preloaded", .0.as_str())]
    NoPreloader(AppKind),
    #[error("the environment variable {0:?} has an invalid name or value")]
    Variable(String),
    #[error("cannot write its environment for the login shell: {0}")]
    Variables(io::Error),
    #[error("cannot open a socket for the app: {0}")]
    Listen(io::Error),
    #[error("cannot find a port for the app: {0}")]
    Port(io::Error),
    #[error("cannot create pipes for the app: {0}")]
    Pipes(io::Error),
    #[error("cannot create a process for the app: {}{}", .0, advice(.0))]
    Fork(io::Error),
    #[error("cannot send an order to its preloader: {0}")]
    Handover(io::Error),
    #[error("cannot create a control group for the app: {0}")]
    Cgroup(CgroupError),
}

fn advice(why: &io::Error) -> &'static str {
    match why.raw_os_error() {
        Some(libc::EAGAIN) => {
            ": the process limit of the daemon's user or service is reached (ulimit -u, systemd's TasksMax)"
        }
        _ => "",
    }
}
