//! libFuzzer entry point of [`flying_passenger_fuzz::daemon_answer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flying_passenger_fuzz::daemon_answer::check(data));
