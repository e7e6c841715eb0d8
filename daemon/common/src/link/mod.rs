//! What supervisor and router say to each other, over a `SOCK_SEQPACKET` pair: one message a packet, descriptors
//! beside it.
//!
//! The router asks in [`Order`]s, the supervisor answers and reports in [`Notice`]s. Messages are bincode; both ends
//! are the same binary, so there is no version in them. A message that does not decode is refused by the supervisor
//! with a log line, never fatal to it.

pub(crate) mod app_mode;
pub mod channel;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod ids;
mod incident;
mod message;
mod trouble;

pub use app_mode::{AppMode, MAX_PAGE, Maintenance};
pub use ids::{ProcessId, Ticket};
pub use incident::{Fact, Incident};
pub use message::{
    Address, Adjustment, AppLogOpened, AppUser, CgroupLimits, Listen, Notice, Order, Overruled,
    ProcessRecord, RestartFiles, RouterConfig, SpawnSpec, StopHow,
};
pub use trouble::Trouble;

/// Longest message, in bytes. A spawn order holds the app's environment, so this bounds that too.
pub const MAX_MESSAGE: usize = 160 * 1024;

/// Longest name of a revision of an app's code, in bytes.
pub const MOST_REVISION: usize = 64;

/// Most descriptors beside one message.
pub const MAX_DESCRIPTORS: usize = 4;
