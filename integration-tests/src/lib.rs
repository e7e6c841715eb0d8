//! The test harness: starts nginx, the daemon and apps in a test's directory, and has a client that sees every byte.
//!
//! A test reads as sentences (`nginx.reload()`, `daemon.kill_router()`, `eventually("…", || …)`). Dropping its
//! [`TestDir`] checks that no log has an alarming line, and that no process is left running.

mod app;
mod browser;
mod chromium;
mod clean_machine;
mod context;
mod daemon;
mod dead_disk;
mod debian;
mod directives;
mod doc_page;
mod exclusive;
mod fakes;
mod frame_client;
mod frameworks;
mod front;
mod frozen_disk;
mod gate;
mod http;
mod language;
mod limits;
mod load;
mod log_pipe;
mod logs;
mod nginx;
mod one_app;
mod paths;
mod ports;
mod process;
mod registry_proxy;
mod response;
mod root;
mod runit;
mod shifted_clock;
mod silent_directory;
mod small_disk;
mod started_app;
mod systemd;
mod test_dir;
mod two_apps;
mod wait;

pub use app::App;
pub use browser::{Browser, Form};
pub use chromium::Chromium;
pub use clean_machine::CleanMachine;
pub use daemon::{Daemon, DaemonBuilder};
pub use dead_disk::DeadDisk;
pub use debian::{clean_debian, clean_debian_of, debian_archive, debian_packages, debian_packages_of};
pub use directives::{Directive, Takes, documented, in_code};
pub use doc_page::{Step, is_printed, steps};
pub use exclusive::{Exclusive, UPLOAD_LEN, sha256_of_upload, upload_file};
pub use fakes::{FakeDaemon, FakeInstance, FakeModule};
pub use frame_client::{Answer, FrameClient};
pub use frameworks::{
    framework, generic_go, generic_python, generic_sources, next_standalone, node_modules, node_package,
    node_packages, python_venv, redmine, require_debian_package, run,
};
pub use front::{Change, Front, WebServer};
pub use frozen_disk::FrozenDisk;
pub use gate::{Gate, GateBuilder};
pub use http::{Connection, Request};
pub use language::Language;
pub use load::{Load, LoadReport};
pub use nginx::Nginx;
pub use one_app::{ONE_APP_CONF, OneApp};
pub use paths::{binary, interruptible, module, nginx_binary, workspace};
pub use process::{
    Memory, descendants, is_alive, kill_9, nice_value, open_descriptors, owner_uid, scheduling_policies,
    scheduling_policy, signal, zombies,
};
pub use registry_proxy::RegistryProxy;
pub use response::{Head, Response};
pub use root::{is_root, skipped};
pub use runit::Runit;
pub use shifted_clock::ShiftedClock;
pub use silent_directory::SilentDirectory;
pub use small_disk::SmallDisk;
pub use started_app::{ORDINARY_USER, StartedApp, passenger, passenger_output};
pub use systemd::Systemd;
pub use test_dir::TestDir;
pub use two_apps::TwoApps;
pub use wait::{eventually, eventually_some, eventually_within, stays};

/// Runs one test over all languages: `for_each_language! { fn name(language) { … } }`. A list in front, as in
/// `for_each_language! { [ruby, python] fn name(language) { … } }`, picks some of them.
#[macro_export]
macro_rules! for_each_language {
    ($(fn $name:ident($language:ident) $body:block)+) => {
        $($crate::for_each_language! { [ruby, python, node, generic] fn $name($language) $body })+
    };
    ($([$($each:ident),+] fn $name:ident($language:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports, reason = "not every test uses all that its file imports")]
            use super::*;

            fn check($language: $crate::Language) $body

            $(#[test]
            fn $each() {
                check($crate::Language::from_name(stringify!($each)));
            })+
        })+
    };
}
