//! The router.
mod pool;
