//! Every promise of the project, kept by the real nginx, the real daemon and real apps. One file per subject.

mod app_errors;
mod app_settings;
mod daemon_life;
mod detection;
mod frameworks;
mod harness;
mod hijack;
mod nginx_conf;
mod pool;
mod pool_crash;
mod promise;
mod request_body;
mod request_environment;
mod request_shape;
mod response;
mod restart;
mod soak;
mod spawn_failure;
mod static_files;
mod status;
mod streaming;
mod transfers;
mod tree;
mod user_switching;
mod version_skew;
mod websocket;
