//! The way of an answer from its app to nginx: heads and bodies out of the app's protocol, into nginx's frames.

mod backlog;
mod outlet;
pub(crate) mod page;
pub(crate) mod relay;
pub(crate) mod tunnel;
mod writer;

pub(crate) use backlog::{Backlog, BacklogOptions};
pub(crate) use outlet::{Outlet, empty};
pub(crate) use writer::{Origin, Writer, reason_phrase};
