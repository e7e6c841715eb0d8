//! libFuzzer entry point of [`flying_passenger_fuzz::env_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flying_passenger_fuzz::env_file::check(data));
