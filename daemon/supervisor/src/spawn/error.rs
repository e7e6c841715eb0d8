//! Errors of a start: sentences for the log and for the report of a failed start.

use std::fmt;
use std::io;

use nix::libc;
use protocol::request::AppKind;

use super::app_files::AppFilesError;
use super::user::UserError;
use crate::cgroups::CgroupError;

/// Why no process was started.
#[derive(Debug)]
pub(crate) enum SpawnError {
    AppFiles(AppFilesError),
    User(UserError),
    Policy(io::Error),
    NoPreloader(AppKind),
    Variable(String),
    Variables(io::Error),
    Listen(io::Error),
    Port(io::Error),
    Pipes(io::Error),
    Fork(io::Error),
    Handover(io::Error),
    Cgroup(CgroupError),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppFiles(why) => why.fmt(f),
            Self::User(why) => why.fmt(f),
            Self::Policy(why) => write!(
                f,
                "the socket for nginx cannot be looked at, so that who can connect to it is not known: {why}"
            ),
            Self::NoPreloader(kind) => write!(f, "apps of type \"{}\" cannot be preloaded", kind.as_str()),
            Self::Variable(name) => {
                write!(f, "the environment variable {name:?} has no possible name or value")
            }
            Self::Variables(why) => write!(f, "its environment cannot be written down: {why}"),
            Self::Listen(why) => write!(f, "no socket can be opened for the app: {why}"),
            Self::Port(why) => write!(f, "no port can be found for the app: {why}"),
            Self::Pipes(why) => write!(f, "no pipes can be made for the app: {why}"),
            Self::Handover(why) => write!(f, "its preloader takes no order: {why}"),
            Self::Cgroup(why) => write!(f, "no control group can be made for the app: {why}"),
            Self::Fork(why) if why.raw_os_error() == Some(libc::EAGAIN) => write!(
                f,
                "no process can be made for the app: {why}: the daemon's user or service has as many as it may have \
                 (ulimit -u, systemd's TasksMax)"
            ),
            Self::Fork(why) => write!(f, "no process can be made for the app: {why}"),
        }
    }
}

impl From<AppFilesError> for SpawnError {
    fn from(why: AppFilesError) -> Self {
        Self::AppFiles(why)
    }
}

impl From<UserError> for SpawnError {
    fn from(why: UserError) -> Self {
        Self::User(why)
    }
}
