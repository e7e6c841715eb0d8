//! Entry points for the fuzz targets, one function for each decoder of link messages. Compiled only with the feature
//! `fuzzing`; the checks are in `fuzz/`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::{self, Encoded};
use super::{Notice, Order};

/// Decodes a message from the router to the supervisor and one in the other direction; true for each that was decoded.
#[must_use]
pub fn link_messages(bytes: &[u8]) -> (bool, bool) {
    (is_stable::<Order>(bytes), is_stable::<Notice>(bytes))
}

/// Whether the bytes are a message. A decoded message must be the same after it was encoded and decoded again.
fn is_stable<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(message) = channel::decode::<T>(bytes) else { return false };
    let written = Encoded::new(&message).map(Encoded::into_bytes);
    let again = written.and_then(|written| channel::decode::<T>(&written));
    assert!(again.is_ok_and(|again| again == message), "it reads otherwise after it was written");
    true
}
