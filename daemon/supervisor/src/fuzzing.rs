//! Entry points for the fuzz targets, one function for each decoder of the supervisor. Compiled only with the feature
//! `fuzzing`; the checks are in `fuzz/`.

use super::lifecycle::upgrade::State;
pub use super::spawn::env_file_variables;

/// Decodes the state that one program hands to the next and encodes it as JSON; `None` when it is refused.
#[must_use]
pub fn upgrade_state(bytes: &[u8]) -> Option<Vec<u8>> {
    let state: State = serde_json::from_slice(bytes).ok()?;
    serde_json::to_vec(&state).ok()
}
