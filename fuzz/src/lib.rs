//! Promises about arbitrary bytes: one module for each decoder that reads what another process wrote. A broken promise panics.

pub mod admin_http;
pub mod app_http;
pub mod app_session;
pub mod chunked;
pub mod daemon_answer;
pub mod link_messages;
pub mod nginx_frames;
pub mod roster;
pub mod settings_block;
pub mod upgrade_state;
