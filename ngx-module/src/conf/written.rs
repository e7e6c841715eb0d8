//! One level as written: set by its directives, completed by the outer level's values.

use module_core::app_kind::AppType;
use module_core::fly_with::FlyWith;
use module_core::manifest::Position;
use module_core::settings;
use protocol::settings::{Settings, Value};

use super::Manifest;
use crate::ffi::conf::complex_value::ComplexValue;

/// The values configured on one level of nginx.conf; after [`Written::inherit`], the effective ones.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) fly_with: Option<FlyWith>,
    pub(crate) enabled: Option<bool>,
    /// File and line of `passenger_enabled`, for messages.
    pub(crate) enabled_at: Option<Position>,
    /// The location shows the status page.
    pub(crate) status: Option<StatusAt>,
    pub(crate) app_root: Option<String>,
    pub(crate) app_group_name: Option<String>,
    pub(crate) app_type: Option<AppType>,
    pub(crate) app_start_command: Option<String>,
    pub(crate) base_uris: Vec<String>,
    pub(crate) document_root: Option<String>,
    /// No value where the header cannot be set. The line still overrides those of outer levels.
    pub(crate) set_headers: Vec<(String, Option<ComplexValue>)>,
    /// Settings of the app.
    pub(crate) settings: settings::Written,
    /// Daemon-wide settings.
    pub(crate) globals: settings::Written,
    /// Where the configuration manifest is written.
    pub(crate) manifest: Option<Manifest>,
    #[cfg(feature = "panic-probe")]
    pub(crate) panic_in: Option<String>,
}

/// File and line of `passenger_status`, for messages.
#[derive(Debug, Clone)]
pub(crate) struct StatusAt(pub(crate) Option<Position>);

impl std::fmt::Display for StatusAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(at) => write!(f, "passenger_status is set in {at}"),
            None => f.write_str("passenger_status is set here"),
        }
    }
}

impl Written {
    /// Inherits the values of the outer level that this one does not have. The status page is not inherited.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        inherit(&mut self.fly_with, &outer.fly_with);
        if self.enabled.is_none() {
            self.enabled_at.clone_from(&outer.enabled_at);
        }
        inherit(&mut self.enabled, &outer.enabled);
        inherit(&mut self.app_root, &outer.app_root);
        inherit(&mut self.app_group_name, &outer.app_group_name);
        inherit(&mut self.app_type, &outer.app_type);
        inherit(&mut self.app_start_command, &outer.app_start_command);
        inherit(&mut self.document_root, &outer.document_root);
        self.base_uris.extend_from_slice(&outer.base_uris);
        // As with proxy_set_header, a level with headers inherits none.
        if self.set_headers.is_empty() {
            self.set_headers.clone_from(&outer.set_headers);
        }
        self.settings.inherit(&outer.settings);
        self.globals.inherit(&outer.globals);
        inherit(&mut self.manifest, &outer.manifest);
        #[cfg(feature = "panic-probe")]
        inherit(&mut self.panic_in, &outer.panic_in);
    }

    /// Whether visitors see the reasons of errors, as far as nginx knows: the daemon may have another default.
    pub(crate) fn has_friendly_error_pages(&self) -> bool {
        match self.settings.values().get("friendly_error_pages") {
            Some(value) => *value == Value::Flag(true),
            None => self.settings.text("app_env") == Some("development"),
        }
    }

    /// Returns the settings of an enabled level, including those used in nginx only.
    pub(crate) fn effective(&self) -> Settings {
        let mut all = self.settings.values().clone();
        let texts = [
            ("app_root", &self.app_root),
            ("app_group_name", &self.app_group_name),
            ("app_start_command", &self.app_start_command),
            ("document_root", &self.document_root),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                all.set(name, Value::Text(text.clone()));
            }
        }
        if !self.base_uris.is_empty() {
            all.set("base_uri", Value::List(self.base_uris.clone()));
        }
        all
    }
}

fn inherit<T: Clone>(inner: &mut Option<T>, outer: &Option<T>) {
    if inner.is_none() {
        inner.clone_from(outer);
    }
}
