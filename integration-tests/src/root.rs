//! Whether tests run as root, and what is said of those that are not run.

use std::io::Write;
use std::process::Command;
use std::sync::Once;

/// True when the tests run as root, so that users can be switched.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes the user of the router, as our package does: a daemon of root does not start without it.
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
        // Another run of the tests may just have made it.
        assert!(exists(), "cannot make the user {NAME}: {output:?}");
    });
}

/// Says loudly that a test is not run here, past the test runner's capture of what is printed.
pub fn skipped(test: &str, why: &str) {
    let _no_terminal_is_no_failure = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}
