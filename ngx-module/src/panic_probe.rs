//! `passenger_panic_in`, only in test builds: shows that no panic leaves a callback.

use crate::conf::LocationConf;

/// Panics if configured for this callback, so that a test can observe the consequences.
#[cfg(feature = "panic-probe")]
#[allow(clippy::panic, reason = "this is what it is for")]
pub(crate) fn probe_panic(location: &LocationConf, callback: &str) {
    if location.written.panic_in.as_deref() == Some(callback) {
        panic!("probe in {callback}");
    }
}

#[cfg(not(feature = "panic-probe"))]
pub(crate) fn probe_panic(_location: &LocationConf, _callback: &str) {}
