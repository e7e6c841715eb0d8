//! The app side of a request: connections to processes, and the two protocols used on them.
//!
//! `docs/APP-PROTOCOL.md` specifies the bytes. Of nginx, only the frames of a request body are read here.

pub(crate) mod buffer;
pub(crate) mod cgi;
pub(crate) mod connect;
pub(crate) mod decimal;
pub(crate) mod http;
mod port_owner;
mod proc_net;
pub(crate) mod request_body;
#[cfg(test)]
pub(crate) mod request_body_tests;
pub(crate) mod response_head;
pub(crate) mod session;
pub(crate) mod upload_rate;
