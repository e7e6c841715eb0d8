//! Reopening of the daemon's log file for an administrator.

use crate::supervisor_link::PendingOrders;
use common::link::Order;

/// Orders to reopen the log file; the result is the reason if that failed.
pub(crate) type LogFile = PendingOrders<Option<String>>;

/// Reopens the log file; the error says why logging continues to the old file.
pub(crate) async fn reopen(log_file: &LogFile) -> Result<(), String> {
    match log_file.result_of(|ticket| Order::ReopenLog { ticket }).await {
        Some(None) => Ok(()),
        Some(Some(why)) => Err(why),
        None => Err("the router is shutting down".to_owned()),
    }
}
