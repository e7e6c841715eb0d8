//! The app side of a request: connections to processes, and the two protocols spoken on them.
//!
//! `docs/APP-PROTOCOL.md` describes the bytes. Nothing here knows nginx.

pub(crate) mod http;
mod port_owner;
mod proc_net;
pub(crate) mod reply;
pub(crate) mod session;
pub(crate) mod stream;
