//! The only module of this crate with raw system calls: accounts, descriptors, processes, signals, sockets, time.
//!
//! Its interface is owned and typed (`OwnedFd`, `Pid`, `Uid`); it has no notion of apps or messages.

#![allow(unsafe_code, reason = "raw system calls are confined to this module")]

pub mod accounts;
pub mod activation;
pub mod clock;
pub mod descriptors;
pub mod dir_watch;
pub mod fd_handover;
pub mod identity;
pub mod inet;
pub mod packets;
pub mod process;
pub mod scheduling;
pub mod signals;
pub mod sock_diag;
pub mod terminal;
pub mod title;
pub mod unix_socket;
