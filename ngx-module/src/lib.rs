//! The nginx dynamic module of flying-passenger: a client's request comes in, frames to the daemon go out, and back.
//!
//! ```text
//! directives ─► levels ─►  handler ─► encode ─► upstream ─► decode
//! what may be   what       which      request   nginx calls  response
//! written       applies    requests   frames    these two    frames
//! ```
//!
//! It runs inside nginx's worker: one thread that never blocks. All that touches nginx's memory is in [`ffi`]; all that
//! needs no nginx is in the crate `module-core`, which can be tested alone. What remains here joins the two.

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
