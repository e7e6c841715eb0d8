//! Tests of the fuzz targets with random bytes and damaged messages: a bounded part of what `make fuzz` does.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping")]

use std::path::PathBuf;

use common::link;
use flying_passenger_fuzz::{
    admin_http, app_http, app_session, chunked, daemon_answer, gate_request, link_messages, nginx_frames,
    roster, settings_block, upgrade_state,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Checks one input.
type Check = fn(&[u8]);

/// The targets that have a corpus below `fuzz/corpus`.
const TARGETS: [(&str, Check); 9] = [
    ("admin_http", admin_http::check),
    ("app_http", app_http::check),
    ("app_session", app_session::check),
    ("chunked", chunked::check),
    ("gate_request", gate_request::check),
    ("link_messages", link_messages::check),
    ("roster", roster::check),
    ("settings_block", settings_block::check),
    ("upgrade_state", upgrade_state::check),
];

/// Returns a target's initial inputs.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{target}: {files:?}");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Returns every message in `protocol/testdata`.
fn messages() -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../protocol/testdata");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Generates messages one after another, with some bytes changed.
fn damaged(messages: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let count = messages.len();
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (vec(0..count, 1..6), changes).prop_map(move |(which, changes)| {
        let mut bytes: Vec<u8> = which.iter().flat_map(|at| messages[*at].clone()).collect();
        for (at, to) in changes {
            let at = at.index(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
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

/// Runs each target on random bytes and on damaged inputs of its corpus.
#[test]
fn the_targets_keep_their_promises() {
    for (target, check) in TARGETS {
        let inputs = corpus(target);
        for input in &inputs {
            check(input);
            (0..=255).for_each(|cut| check(&[&[cut], input.get(1..).unwrap_or_default()].concat()));
        }
        let either = prop_oneof![vec(any::<u8>(), 0..300), damaged(inputs)];
        let config = ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() };
        let outcome = TestRunner::new(config).run(&either, |bytes| {
            check(&bytes);
            Ok(())
        });
        assert!(outcome.is_ok(), "{target}: {outcome:?}");
    }
}

/// A corpus that the decoders refuse would test nothing.
#[test]
fn the_corpus_is_read() {
    let requests = corpus("gate_request").iter().map(|bytes| gate_request::count(bytes)).sum::<usize>();
    assert_eq!(requests, 6);
    let states = corpus("upgrade_state");
    assert_eq!(states.iter().filter(|state| supervisor::fuzzing::upgrade_state(state).is_some()).count(), 3);
    let messages = corpus("link_messages");
    let (orders, notices): (Vec<_>, Vec<_>) =
        messages.iter().map(|bytes| link::fuzzing::link_messages(bytes)).unzip();
    assert!(orders.contains(&true) && notices.contains(&true));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_answers(bytes in vec(any::<u8>(), 0..300)) {
        daemon_answer::check(&bytes);
    }

    #[test]
    fn damaged_answers(cut in any::<u8>(), bytes in damaged(messages())) {
        daemon_answer::check(&[&[cut], bytes.as_slice()].concat());
    }

    #[test]
    fn random_frames(bytes in vec(any::<u8>(), 0..300)) {
        nginx_frames::check(&bytes);
    }

    #[test]
    fn damaged_frames(bytes in damaged(messages())) {
        nginx_frames::check(&bytes);
        nginx_frames::check(bytes.get(12..).unwrap_or_default());
    }
}
