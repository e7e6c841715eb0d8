//! The first bytes of each connection to the daemon: who connects, and when it read its configuration.

use common::sys::clock::now_ms;
use protocol::globals::Globals;
use protocol::hello::Hello;
use protocol::{CURRENT_VERSION, SPOKEN_VERSIONS};

use crate::request::encode::SERVER_SOFTWARE;

/// Returns the greeting of the gate of this name, for a configuration that was read now. The gate has no settings for
/// the daemon as a whole, which reads the same file.
pub(crate) fn greeting(instance: &str) -> Vec<u8> {
    let hello = Hello {
        versions: SPOKEN_VERSIONS.to_vec(),
        using: CURRENT_VERSION,
        module_version: env!("CARGO_PKG_VERSION").to_owned(),
        nginx_version: SERVER_SOFTWARE.to_owned(),
        hears_goodbye: true,
        instance: instance.to_owned(),
    };
    [hello.to_frame(), Globals::time_only_frame(now_ms())].concat()
}
