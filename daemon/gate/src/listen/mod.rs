//! Sockets for clients: opened by the gate or passed by systemd, and the connections that they accept.

pub(crate) mod accept;
pub(crate) mod proxy_protocol;
mod sockets;
pub(crate) mod stream;

pub(crate) use sockets::open;
