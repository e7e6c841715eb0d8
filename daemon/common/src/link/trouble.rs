//! Problems of the daemon itself, as opposed to those of a single request or process.

use serde::{Deserialize, Serialize};

/// A kind of problem, of which there is at most one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Trouble {
    /// The log file cannot be opened.
    LogFile,
    /// Lines cannot be written to the log.
    LogOutput,
    /// nginx cannot find the socket.
    Socket,
    /// Files of apps cannot be checked.
    Files,
    /// The router's descriptors are nearly exhausted.
    Descriptors,
    /// No connection from nginx can be accepted.
    Accepting,
    /// No connection of a tool can be accepted.
    Tools,
    /// Response data for slow clients cannot be buffered.
    Buffers,
}
