//! HTTP/1.1 as used with Node.js and generic apps: persistent connections, one request in flight on each.
//!
//! Any irregularity in a response ends its connection, so that nothing of one request can be taken for another's.

pub(crate) mod chunked;
pub(crate) mod decode;
mod encode;

pub(crate) use decode::Decoder;
pub(crate) use encode::{write_chunk_head, write_request};
