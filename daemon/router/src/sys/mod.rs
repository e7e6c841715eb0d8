//! System calls of the router, and its only `unsafe` code.
#![allow(unsafe_code, reason = "reads and writes sockets under the event loop")]

pub(crate) mod reactor;
pub(crate) mod stream;
