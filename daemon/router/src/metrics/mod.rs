//! Requests in flight, counters, the cached status page and problems of the daemon, for administrators.

pub(crate) mod active_requests;
pub(crate) mod counters;
pub(crate) mod page_cache;
pub(crate) mod problems;
