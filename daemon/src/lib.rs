//! The flying-passenger daemon: a supervisor that owns the app processes and a router that owns the requests.

pub mod config;
pub mod instance;
pub mod link;
pub mod log;
pub mod programs;
pub mod router;
pub mod supervisor;
pub mod sys;
pub mod tools;
