//! Promises about arbitrary bytes: what a fuzzer makes up comes in, and a panic goes out where a promise is broken.

pub mod daemon_answer;
pub mod nginx_frames;
