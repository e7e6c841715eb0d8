//! The state that one router sends and the next one receives.

use nix::unistd::{Gid, Uid};

use super::maintenance::AppModes;
use common::config::Options;
use common::link::{OverriddenOption, RouterConfig};

/// The state kept for the next router.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// The daemon-wide options from nginx.
    pub(crate) globals: Vec<u8>,
    /// Those of them that are not applied.
    pub(crate) overridden: Vec<OverriddenOption>,
    /// App modes set by administrators.
    pub(crate) app_modes: AppModes,
    /// Whether the output of apps gets a prefix in the log.
    pub(crate) app_prefix: bool,
}

impl Kept {
    /// Returns the configuration of the next router, without hooks, problems and generation.
    pub(super) fn config(&self, options: &Options, instance: &str) -> RouterConfig {
        RouterConfig {
            socket_file: options.socket.path.clone(),
            instance_name: instance.to_owned(),
            options: options.shared.clone(),
            app_defaults: options.app_defaults.clone(),
            globals: self.globals.clone(),
            overridden: self.overridden.clone(),
            shutdown_limit: options.shutdown_limit.as_secs(),
            drain_limit: options.drain_limit.as_secs(),
            admin_uid: Uid::effective().as_raw(),
            status_gid: options.status_group.map(Gid::as_raw),
            app_output: options.app_output,
            app_output_limit: options.app_output_limit,
            min_upload_rate: options.min_upload_rate,
            hooks: Vec::new(),
            problems: Vec::new(),
            generation: 0,
        }
    }
}
