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
    #[error("the socket for nginx cannot be looked at, so that who can connect to it is not known: {0}")]
    Policy(io::Error),
    #[error("apps of type \"{}\" cannot be preloaded", .0.as_str())]
    NoPreloader(AppKind),
    #[error("the environment variable {0:?} has no possible name or value")]
    Variable(String),
    #[error("its environment cannot be written down: {0}")]
    Variables(io::Error),
    #[error("no socket can be opened for the app: {0}")]
    Listen(io::Error),
    #[error("no port can be found for the app: {0}")]
    Port(io::Error),
    #[error("no pipes can be made for the app: {0}")]
    Pipes(io::Error),
    #[error("no process can be made for the app: {}{}", .0, advice(.0))]
    Fork(io::Error),
    #[error("its preloader takes no order: {0}")]
    Handover(io::Error),
    #[error("no control group can be made for the app: {0}")]
    Cgroup(CgroupError),
}

fn advice(why: &io::Error) -> &'static str {
    match why.raw_os_error() {
        Some(libc::EAGAIN) => {
            ": the daemon's user or service has as many as it may have (ulimit -u, systemd's TasksMax)"
        }
        _ => "",
    }
}
