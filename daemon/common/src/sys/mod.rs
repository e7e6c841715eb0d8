//! The one room where raw system calls are made: descriptors, packets with descriptors, fork, identity, signals, time.
//!
//! What comes in and goes out is owned and typed (`OwnedFd`, `Pid`, `Uid`); it knows nothing of apps or messages.

#![allow(unsafe_code, reason = "this is the room for it; everything outside is ordinary Rust")]

pub mod accounts;
pub mod activation;
pub mod clock;
pub mod descriptors;
pub mod fd_handover;
pub mod identity;
pub mod inet;
pub mod packets;
pub mod process;
pub mod random;
pub mod signals;
pub mod sock_diag;
pub mod unix_socket;
