//! Arbitrary bytes as the settings of an application: every value is applied or reported as unknown.

use protocol::settings::Settings;
use router::fuzzing;

/// Reads the bytes as a settings block.
pub fn check(data: &[u8]) {
    let Ok(settings) = Settings::decode(data) else { return };
    let unknown = fuzzing::settings(&settings);
    assert!(unknown.iter().all(|name| settings.iter().any(|(known, _)| name == known)));
}
