//! Detection of the application in a directory: its type and its startup file or command, and the interpreter that its
//! files ask for.
//!
//! nginx's worker, which must never block, searches with this as well as the gate and the tools; an application's
//! process finds its interpreter with it. A directory belongs to its application's owner, who may put anything into it:
//! only regular files are read, without blocking and up to a limit, and nothing is executed.

#![forbid(unsafe_code)]

mod detected;
mod directory;
mod error;
pub mod interpreter;
mod node;
mod passengerfile;
mod procfile;
mod python;
mod rejected;
#[cfg(test)]
mod tests;

pub use detected::{Detected, Search, detect, detect_file, exposed_source, search};
pub use directory::is_not_found;
pub use error::DetectError;

use protocol::request::AppKind;

/// Returns what a directory is searched for, in this order.
pub fn candidates() -> Vec<&'static str> {
    let usual = AppKind::ALL.into_iter().filter_map(|kind| kind.definition().startup_file);
    let more = ["manage.py", "Procfile", "package.json", ".output", ".next"];
    std::iter::once("Passengerfile.json")
        .chain(usual)
        .chain(python::FILES)
        .chain(more)
        .chain(node::FILES)
        .collect()
}
