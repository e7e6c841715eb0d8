//! The link between supervisor and router, a `SOCK_SEQPACKET` pair: one message per packet, with descriptors.
//!
//! The router sends [`Order`]s; the supervisor answers and reports with [`Notice`]s. Messages are encoded with bincode;
//! both ends are the same binary, so they carry no version. The supervisor refuses and logs a message that it cannot
//! decode; it does not end because of it.

pub(crate) mod app_mode;
pub mod channel;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod incident;
mod message;

use serde::{Deserialize, Serialize};

pub use app_mode::{AppMode, MAX_PAGE, Maintenance};
pub use incident::{Fact, Incident};
pub use message::{
    Address, AppLogOpened, AppUser, CgroupLimits, Listen, Notice, Order, OverriddenOption, ProcessRecord,
    RestartFiles, RouterConfig, SpawnSpec, StopHow, SupervisorOptions,
};

/// Maximum length of a message in bytes. It also limits the app's environment, which is part of a spawn order.
pub const MAX_MESSAGE: usize = 160 * 1024;

/// Maximum length in bytes of the name of a revision of an app's code.
pub const MAX_REVISION: usize = 64;

/// Maximum length in bytes of what a process reports of native support.
pub const MAX_NATIVE: usize = 1000;

/// Maximum length in bytes of the line about the interpreter of a process.
pub const MAX_PROGRAM: usize = 600;

/// Maximum number of descriptors with one message.
pub const MAX_DESCRIPTORS: usize = 4;

/// Identifies an app process for the life of the daemon. Never reused, unlike a PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId(pub u64);

/// Associates an answer with its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// A kind of problem of the daemon itself, of which there is at most one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Problem {
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
    /// Requests wait, as the pool has no room for another process.
    PoolFull,
}
