//! What can be wrong with the daemon itself, beyond a single request or process.

use serde::{Deserialize, Serialize};

/// A kind of trouble: there is one of each at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Trouble {
    /// The log file cannot be opened.
    LogFile,
    /// Lines cannot be written to the log.
    LogOutput,
    /// nginx cannot find the socket.
    Socket,
    /// Files of apps cannot be looked at.
    Files,
    /// The router's descriptors are nearly used up.
    Descriptors,
    /// No connection from nginx can be accepted.
    Accepting,
    /// No connection of a tool can be accepted.
    Tools,
    /// What slow clients have not taken cannot be kept.
    Buffers,
}
