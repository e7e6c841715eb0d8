//! Whether tests run as root, and the report of skipped tests.

use std::io::Write;
use std::process::Command;
use std::sync::Once;

/// True when the tests run as root, so that users can be switched.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Creates the router's user, as the package does: as root the daemon does not start without it.
pub(crate) fn make_router_user() {
    const NAME: &str = "flying-passenger";
    static MADE: Once = Once::new();
    let exists = || nix::unistd::User::from_name(NAME).is_ok_and(|user| user.is_some());
    MADE.call_once(|| {
        if !is_root() || exists() {
            return;
        }
        let mut useradd = Command::new("useradd");
        useradd.args(["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]);
        let output = useradd.args(["--shell", "/usr/sbin/nologin", NAME]).output();
        // A concurrent test process may have created it.
        assert!(exists(), "cannot make the user {NAME}: {output:?}");
    });
}

/// Reports a skipped test on standard error, bypassing the test runner's capture.
pub fn skipped(test: &str, why: &str) {
    let _no_terminal_is_no_failure = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
