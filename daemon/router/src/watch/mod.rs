//! Periodic checks: restart files, idle processes, memory limits, resource usage.

pub(crate) mod idle;
pub(crate) mod memory;
pub(crate) mod pool_full;
pub(crate) mod restart_files;
pub(crate) mod usage;
