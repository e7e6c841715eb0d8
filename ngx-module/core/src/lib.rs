//! What the nginx module decides without nginx: bytes and strings come in, decisions go out.
//!
//! A dynamic module refers to symbols that only nginx has, so its own crate cannot be linked into a test. Whatever
//! needs no nginx therefore stands here, with its tests beside it. Nothing here knows nginx's structures, and the
//! only system calls are those that look for an application on disk.

#![forbid(unsafe_code)]

pub mod absence;
pub mod announced;
pub mod app_kind;
pub mod base_uri;
pub mod detect;
pub mod fly_with;
pub mod host;
pub mod instance;
pub mod manifest;
pub mod place;
pub mod pre_start;
pub mod request_headers;
pub mod request_id;
pub mod response_body;
pub mod response_head;
pub mod response_headers;
pub mod served;
pub mod settings;
pub mod value;
