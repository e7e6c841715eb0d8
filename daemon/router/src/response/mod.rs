//! The way of an answer from its app to nginx: heads and bodies out of the app's protocol, into nginx's frames.

mod backlog;
pub(crate) mod error_page;
pub(crate) mod frame_writer;
mod outlet;
pub(crate) mod relay;
pub(crate) mod tunnel;

pub(crate) use backlog::{Backlog, BacklogOptions};
pub(crate) use frame_writer::{Origin, Writer, reason_phrase};
pub(crate) use outlet::{Outlet, empty};
