//! Entry points for the fuzz targets: one function for each decoder of the supervisor. Compiled with the feature
//! `fuzzing` only; `fuzz/` contains the checks.

use super::lifecycle::upgrade::State;

/// The state that one daemon hands to the next, written again as JSON; `None` when it is refused.
#[must_use]
pub fn upgrade_state(bytes: &[u8]) -> Option<Vec<u8>> {
    let state: State = serde_json::from_slice(bytes).ok()?;
    serde_json::to_vec(&state).ok()
}
