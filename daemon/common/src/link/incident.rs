//! Events of apps that the router reports and that may trigger programs of the operator.

use serde::{Deserialize, Serialize};

use super::ProcessId;
use crate::config::Hook;

/// An event of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The kind of event.
    pub hook: Hook,
    /// The process that is killed once the programs have ended: only for [`Hook::MaxRequestTimeReached`].
    pub kill_afterwards: Option<ProcessId>,
    /// Variables for the environment of the programs. Some contain data of a visitor.
    pub facts: Vec<(Fact, String)>,
}

/// A variable of a program's environment. A compromised router can choose values, not names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// The app's root directory.
    AppRoot,
    /// The app group's name.
    AppGroupName,
    /// The PID of the process.
    ProcessPid,
    /// The error message.
    ErrorMessage,
    /// The error ID in log and error page.
    ErrorId,
    /// The app's own description of the failure.
    AppErrorMessage,
    /// The URI of the request.
    RequestPath,
    /// Its `Host` header.
    RequestHost,
}

impl Fact {
    /// Returns the names of its variables: a PID has the name for every hook and the one for slow requests.
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
