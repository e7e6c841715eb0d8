//! Whether tests run as root, and what is said of those that are not run.

use std::io::Write;

/// True when the tests run as root, so that users can be switched.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says loudly that a test is not run here, past the test runner's capture of what is printed.
pub fn skipped(test: &str, why: &str) {
    let _no_terminal_is_no_failure = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
