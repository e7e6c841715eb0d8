//! Code shared by the programs: configuration, link between supervisor and router, instances, log, secrets
//! and system calls.

pub mod config;
pub mod instance;
pub mod link;
pub mod log;
pub mod native;
mod native_hash;
pub mod secrets;
pub mod sys;
