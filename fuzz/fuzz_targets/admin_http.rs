//! libFuzzer entry point of [`flying_passenger_fuzz::admin_http`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flying_passenger_fuzz::admin_http::check(data));
