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

/// Maximum length of a message in bytes. It also limits the app's environment, which is part of a spawn order.
pub const MAX_MESSAGE: usize = 160 * 1024;

/// Maximum length in bytes of the name of a revision of an app's code.
pub const MOST_REVISION: usize = 64;

/// Maximum number of descriptors with one message.
pub const MAX_DESCRIPTORS: usize = 4;
