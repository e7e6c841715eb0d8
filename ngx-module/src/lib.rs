//! The nginx dynamic module of flying-passenger: it passes clients' requests to the daemon and responses back.
//!
//! ```text
//! directives ─► merge  ─►  handler ─► encode ─► upstream ─► decode
//! what may be   what       which      request   nginx calls  response
//! written       applies    requests   frames    these two    frames
//! ```
//!
//! It runs inside nginx's worker: one thread that never blocks. All access to nginx's memory is in [`ffi`]; all code
//! that does not need nginx is in the crate `module-core`, which has its own tests. This crate connects the two.

mod conf;
mod decode;
mod directives;
mod encode;
mod ffi;
mod handler;
mod health;
mod merge;
mod panic_probe;
mod public_files;
mod roster_connection;
mod status;
mod upstream;
mod variables;
