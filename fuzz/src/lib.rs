//! Properties of the decoders on arbitrary bytes: one module for each that reads data of another process. A violation
//! panics.

pub mod admin_http;
pub mod app_http;
pub mod app_session;
pub mod chunked;
pub mod daemon_answer;
pub mod gate_request;
pub mod link_messages;
pub mod nginx_frames;
pub mod roster;
pub mod settings_block;
pub mod upgrade_state;
