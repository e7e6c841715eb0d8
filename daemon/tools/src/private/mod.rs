//! Programs that a tool starts for its own use and ends with itself: their processes, and the lines that they log.

pub(crate) mod log_line;
pub(crate) mod process;
pub(crate) mod process_tree;
