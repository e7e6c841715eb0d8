//! The parts of the nginx module that do not depend on nginx: functions on bytes and strings, with their tests.
//!
//! A dynamic module refers to symbols that only nginx has, so its crate cannot be linked into a test. Code that does
//! not need nginx is therefore in this crate. It does not use nginx's structures, and its only system calls are those
//! that search for an application on disk.

#![forbid(unsafe_code)]

pub mod app_kind;
pub mod app_location;
pub mod app_locations;
pub mod base_uri;
pub mod bytes;
mod complete_body;
pub mod fly_with;
pub mod host;
pub mod instance;
pub mod manifest;
pub mod negative_cache;
pub mod nothing_found;
pub mod own_error;
pub mod pre_start;
pub mod request_headers;
pub mod request_id;
pub mod response_body;
pub mod response_head;
pub mod response_headers;
pub mod roster;
pub mod served;
pub mod settings;
pub mod value;
