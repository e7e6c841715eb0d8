//! System calls of the router, and its only `unsafe` code.
#![allow(unsafe_code, reason = "reads and writes sockets under the event loop")]

pub(crate) mod stream;

use std::io;

use tokio::io::unix::AsyncFd;

use common::link::channel::Channel;

/// Watches the channel's descriptor in tokio's event loop as long as the result lives.
pub(crate) fn watch(channel: Channel) -> io::Result<AsyncFd<Channel>> {
    // SAFETY: a `Channel` owns one descriptor, returns the same one each time it is asked, and closes it only when it
    // is dropped; `AsyncFd` drops it after its registration.
    unsafe { AsyncFd::register(channel) }.map_err(Into::into)
}
