//! The promises, held against random bytes and against damaged messages: a bounded share of what `make fuzz` does.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::path::PathBuf;

use flying_passenger_fuzz::{daemon_answer, nginx_frames};
use proptest::collection::vec;
use proptest::prelude::*;

/// Every message that is kept as bytes.
fn messages() -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../protocol/testdata");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Messages one after another, with bytes changed here and there.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let messages = messages();
    let count = messages.len();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (vec(0..count, 1..6), changes).prop_map(move |(which, changes)| {
        let mut bytes: Vec<u8> = which.iter().flat_map(|at| messages[*at].clone()).collect();
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        bytes
    })
}

#[test]
fn the_messages_themselves_keep_the_promises() {
    for message in messages() {
        nginx_frames::check(&message);
        nginx_frames::check(message.get(12..).unwrap_or_default());
        for cut in 0..=16 {
            daemon_answer::check(&[&[cut], message.as_slice()].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_answers(bytes in vec(any::<u8>(), 0..300)) {
        daemon_answer::check(&bytes);
    }

    #[test]
    fn damaged_answers(cut in any::<u8>(), bytes in damaged()) {
        daemon_answer::check(&[&[cut], bytes.as_slice()].concat());
    }

    #[test]
    fn random_frames(bytes in vec(any::<u8>(), 0..300)) {
        nginx_frames::check(&bytes);
    }

    #[test]
    fn damaged_frames(bytes in damaged()) {
        nginx_frames::check(&bytes);
        nginx_frames::check(bytes.get(12..).unwrap_or_default());
    }
}
