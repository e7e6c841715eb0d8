//! Arbitrary bytes as a frame of a roster, with the settings of the applications to start.

use protocol::limits::MAX_ROSTER_ENTRIES;
use protocol::roster::Roster;

use crate::settings_block;

/// Reads the bytes as one frame.
pub fn check(data: &[u8]) {
    let Ok(roster) = Roster::decode(data) else { return };
    assert!(roster.entries.len() <= MAX_ROSTER_ENTRIES.max(data.len()));
    for start in roster.entries.iter().filter_map(|entry| entry.start.as_ref()) {
        assert!(start.settings.len() <= data.len());
        settings_block::check(start.settings);
    }
}
