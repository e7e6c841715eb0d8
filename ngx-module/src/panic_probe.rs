//! `passenger_panic_in`, which only test builds have: shows that no panic leaves a callback.

use crate::conf::LocationConf;

/// Lets a test see what a panic in this callback costs.
#[cfg(feature = "panic-probe")]
#[allow(clippy::panic, reason = "this is what it is for")]
pub(crate) fn probe_panic(location: &LocationConf, callback: &str) {
    if location.written.panic_in.as_deref() == Some(callback) {
        panic!("probe in {callback}");
    }
}

#[cfg(not(feature = "panic-probe"))]
pub(crate) fn probe_panic(_location: &LocationConf, _callback: &str) {}
