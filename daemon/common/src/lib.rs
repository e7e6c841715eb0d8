//! What the programs of the daemon share: configuration, the link between supervisor and router, instances, the log, system calls.

pub mod config;
pub mod instance;
pub mod link;
pub mod log;
pub mod sys;
