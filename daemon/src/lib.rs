//! The flying-passenger daemon: a supervisor that owns the app processes and a router that owns the requests.

pub mod link;
pub mod sys;
pub mod router;
