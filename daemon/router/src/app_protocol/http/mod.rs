//! HTTP/1.1 as spoken with Node.js and generic apps: kept-alive connections, one request in flight on each.
//!
//! Whatever is irregular in an answer ends its connection, so that nothing of one request can be taken for another's.

pub(crate) mod chunked;
pub(crate) mod decode;
mod encode;

pub(crate) use decode::Decoder;
pub(crate) use encode::{write_chunk_head, write_request};
