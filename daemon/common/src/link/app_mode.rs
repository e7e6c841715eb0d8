//! What an administrator has said of an app as a whole: that its requests wait, or that it is being worked on.

use serde::{Deserialize, Serialize};

/// Longest page shown during maintenance, in bytes.
pub const MAX_PAGE: usize = 64 * 1024;

/// How an app stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppMode {
    /// Requests are served.
    #[default]
    Open,
    /// Requests wait.
    Paused,
    /// Requests are answered with a page at once.
    Maintenance(Maintenance),
}

/// What visitors are told meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// A page of the operator's own, HTML; empty for the daemon's. At most [`MAX_PAGE`] bytes.
    pub page: String,
    /// For `Retry-After`, in seconds; 0 for none.
    pub retry_after: u32,
}

impl AppMode {
    /// The name of [`AppMode::Open`] for administrators.
    pub const OPEN: &'static str = "open";
    /// The name of [`AppMode::Paused`].
    pub const PAUSED: &'static str = "paused";
    /// The name of [`AppMode::Maintenance`].
    pub const MAINTENANCE: &'static str = "maintenance";
}
