//! The protocol between the nginx module and the daemon: frames, messages, limits, and the definitions of settings, of
//! kinds of applications and of error pages, which both sides use.
//!
//! Byte slices are decoded into values or named errors, and values are encoded into bytes. There is no I/O, no `unsafe`
//! and no dependency on nginx or tokio. `docs/PROTOCOL.md` describes every byte.

#![forbid(unsafe_code)]

pub mod app_kind;
pub mod app_settings;
pub mod daemon_settings;
pub mod found;
pub mod frame;
pub mod globals;
pub mod hello;
pub mod limits;
pub mod page;
pub mod pairs;
pub mod request;
pub mod response;
pub mod roster;
pub mod setting;
pub mod setting_table;
pub mod setting_type;
pub mod settings;
pub mod status;

mod payload;
mod reader;
mod request_head;
mod response_head;
mod varint;

pub use payload::PayloadError;
pub use reader::ReadError;

/// The version of the messages that this crate encodes.
pub const CURRENT_VERSION: u16 = 1;

/// Every version that this crate decodes, newest first: the current one and, from version 2 on, the previous one.
pub const SPOKEN_VERSIONS: &[u16] = &[CURRENT_VERSION];
