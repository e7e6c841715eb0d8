//! libFuzzer entry point of [`flying_passenger_fuzz::app_session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flying_passenger_fuzz::app_session::check(data));
