//! Responses: `relay` decodes the app's protocol, `frame_writer` encodes nginx's frames, `outlet` writes them,
//! `backlog` keeps them for slow clients. `tunnel` relays bytes after a 101, `error_page` contains the daemon's own
//! responses.

mod backlog;
pub(crate) mod error_page;
pub(crate) mod frame_writer;
mod outlet;
pub(crate) mod relay;
pub(crate) mod tunnel;

pub(crate) use backlog::{Backlog, BacklogOptions};
pub(crate) use frame_writer::{Origin, Writer, reason_phrase};
pub(crate) use outlet::{Outlet, empty};
