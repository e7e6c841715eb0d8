//! Connections from nginx: accepting them, the handshake and request frames, the status page.

pub(crate) mod accept;
pub(crate) mod connection;
pub(crate) mod incomplete_frames;
pub(crate) mod status_page;
