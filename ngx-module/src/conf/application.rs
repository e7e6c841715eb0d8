//! The values of a location that its requests need, computed once.

use std::cell::RefCell;

use module_core::app_location::AppConf;
use module_core::app_locations::AppLocations;
use module_core::settings::{self, Block};
use protocol::globals::Globals;
use protocol::hello::Hello;
use protocol::settings::Value;
use protocol::{CURRENT_VERSION, SPOKEN_VERSIONS};

use super::Written;
use crate::ffi::release::NGINX_VERSION;
use crate::ffi::request::now_ms;

/// An application as its location configures it.
#[derive(Debug)]
pub(crate) struct Application {
    /// The first bytes of each connection: the hello and the daemon-wide settings of this configuration.
    pub(crate) greeting: Vec<u8>,
    /// The settings as sent with each request.
    pub(crate) settings: Block,
    pub(crate) app: AppConf,
    /// Whether the module's own error pages have cause and remedy.
    pub(crate) friendly: bool,
    pub(crate) locations: RefCell<AppLocations>,
}

impl Application {
    /// Returns the application of this level, in the nginx of this name.
    ///
    /// # Errors
    ///
    /// A message when its settings are too long.
    pub(crate) fn of(written: &Written, instance: String) -> Result<Self, String> {
        let settings = written
            .settings
            .encode()
            .map_err(|err| format!("the application's settings do not fit into a request: {err}"))?;
        let app = AppConf {
            root: written.app_root.clone(),
            group: written.app_group_name.clone(),
            env: written.settings.text("app_env").unwrap_or("production").to_owned(),
            kind: written.app_type,
            start_command: written.app_start_command.clone(),
            startup_file: written.settings.text("startup_file").map(str::to_owned),
            varies: false,
        };
        let friendly = match written.settings.values().get("friendly_error_pages") {
            Some(Value::Flag(friendly)) => *friendly,
            _ => app.env == "development",
        };
        Ok(Self {
            friendly,
            greeting: greeting(&written.globals, instance)?,
            settings,
            app,
            locations: RefCell::default(),
        })
    }
}

/// Returns the first bytes of a connection of the nginx of this name.
///
/// # Errors
///
/// A message when the daemon-wide settings are too long.
pub(crate) fn greeting(globals: &settings::Written, instance: String) -> Result<Vec<u8>, String> {
    let hello = Hello {
        versions: SPOKEN_VERSIONS.to_vec(),
        using: CURRENT_VERSION,
        module_version: env!("CARGO_PKG_VERSION").to_owned(),
        nginx_version: NGINX_VERSION.to_owned(),
        hears_goodbye: true,
        takes_log_line: true,
        instance,
    };
    let globals = Globals { configured_ms: now_ms(), settings: globals.values().clone() };
    let globals = globals
        .to_frame()
        .map_err(|err| format!("the settings of the daemon do not fit into a frame: {err}"))?;
    Ok([hello.to_frame(), globals].concat())
}
