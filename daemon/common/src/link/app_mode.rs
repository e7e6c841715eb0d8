//! The mode of an app, set by administrators: open, paused or under maintenance.

use serde::{Deserialize, Serialize};

/// Maximum length in bytes of a page shown during maintenance.
pub const MAX_PAGE: usize = 64 * 1024;

/// The mode of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppMode {
    /// Requests are served.
    #[default]
    Open,
    /// Requests wait in the queue.
    Paused,
    /// Requests are answered at once with a page.
    Maintenance(Maintenance),
}

/// The response to visitors during maintenance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// The operator's page, HTML; empty for the default page. At most [`MAX_PAGE`] bytes.
    pub page: String,
    /// The value of `Retry-After` in seconds; 0 for none.
    pub retry_after: u32,
}

impl AppMode {
    /// The name of [`AppMode::Open`] in the tools.
    pub const OPEN: &'static str = "open";
    /// The name of [`AppMode::Paused`].
    pub const PAUSED: &'static str = "paused";
    /// The name of [`AppMode::Maintenance`].
    pub const MAINTENANCE: &'static str = "maintenance";
}
