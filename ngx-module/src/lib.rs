//! The nginx dynamic module of flying-passenger: it passes clients' requests to the daemon and responses back.
//!
//! ```text
//! directives ─► levels ─►  handler ─► encode ─► upstream ─► decode
//! what may be   what       which      request   nginx calls  response
//! written       applies    requests   frames    these two    frames
//! ```
//!
//! It runs inside nginx's worker: one thread that never blocks. All access to nginx's memory is in [`ffi`]; all code
//! that does not need nginx is in the crate `module-core`, which has its own tests. This crate connects the two.

mod answer_body;
mod conf;
mod decode;
mod destination;
mod directives;
mod encode;
mod ffi;
mod handler;
mod herald;
mod levels;
mod panic_probe;
mod pre_start;
mod public_files;
mod status;
mod unreachable;
mod upstream;
mod variables;
