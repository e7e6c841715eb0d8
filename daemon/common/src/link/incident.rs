//! What the router tells of an event that the operator may have named a program for.

use serde::{Deserialize, Serialize};

use super::ProcessId;
use crate::config::Hook;

/// Something happened to an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What happened.
    pub hook: Hook,
    /// The process that is killed once the programs have ended: only of [`Hook::MaxRequestTimeReached`].
    pub doomed: Option<ProcessId>,
    /// What the programs find in their environment. Some of it may be a visitor's words.
    pub facts: Vec<(Fact, String)>,
}

/// A variable of a program's environment. A router that was taken over can choose values, not names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The app's root directory.
    AppRoot,
    /// The app group's name.
    AppGroupName,
    /// The process, by its PID.
    ProcessPid,
    /// What failed, in a sentence.
    ErrorMessage,
    /// The error ID of log and error page.
    ErrorId,
    /// The app's own account of the failure.
    AppErrorMessage,
    /// The URI of the request.
    RequestPath,
    /// Its `Host` header.
    RequestHost,
}

impl Fact {
    /// The names of its variables: a process has its name of every hook, and the one of the hook for slow requests.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::AppRoot => &["PASSENGER_APP_ROOT"],
            Self::AppGroupName => &["PASSENGER_APP_GROUP_NAME"],
            Self::ProcessPid => &["PASSENGER_PROCESS_PID", "PASSENGER_APP_PID"],
            Self::ErrorMessage => &["PASSENGER_ERROR_MESSAGE"],
            Self::ErrorId => &["PASSENGER_ERROR_ID"],
            Self::AppErrorMessage => &["PASSENGER_APP_ERROR_MESSAGE"],
            Self::RequestPath => &["PASSENGER_REQUEST_PATH"],
            Self::RequestHost => &["PASSENGER_REQUEST_HOST"],
        }
    }
}
