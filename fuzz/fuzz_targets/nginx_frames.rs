//! libFuzzer entry point of [`flying_passenger_fuzz::nginx_frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flying_passenger_fuzz::nginx_frames::check(data));
