//! libFuzzer entry point of [`flying_passenger_fuzz::gate_request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flying_passenger_fuzz::gate_request::check(data));
