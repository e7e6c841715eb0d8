//! An app as configured by one location, and what the supervisor and the next router need to know of it. The group that
//! it belongs to is received, not determined here.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[cfg(test)]
use protocol::app_settings::RouterSettings;
use protocol::request::{AppKind, AppRef};
use protocol::settings::{Digest, Settings};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::settings::AppSettings;
use crate::pool::GroupId;
use common::link::SpawnSpec;

/// An application with one set of settings, as named by requests.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) group: GroupId,
    pub(crate) name: String,
    pub(crate) kind: AppKind,
    pub(crate) root: PathBuf,
    pub(crate) base_uri: String,
    pub(crate) start_command: String,
    pub(crate) server_software: String,
    pub(crate) settings: AppSettings,
    /// When nginx read the newest configuration under which a request used this route, in milliseconds since 1970.
    pub(crate) seen_ms: Cell<u64>,
    /// The number of the last request that used this route: requests are counted.
    pub(crate) used: Cell<u64>,
    /// Whether it was logged that its port is open to all local users.
    open_port_logged: Cell<bool>,
    /// The settings block, for the next router.
    block: Vec<u8>,
}

/// An app as described by a request, a roster or handover data.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    pub(crate) app: AppRef<'a>,
    pub(crate) base_uri: &'a [u8],
    pub(crate) server_software: &'a [u8],
    /// The digest of the block, as received.
    pub(crate) digest: Digest,
    /// Its settings as nginx sends them.
    pub(crate) block: &'a [u8],
}

/// What the next router needs to know about a process: everything that identifies its route.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandoverData {
    group: Vec<u8>,
    root: Vec<u8>,
    kind: AppKind,
    start_command: Vec<u8>,
    base_uri: Vec<u8>,
    server_software: Vec<u8>,
    block: Vec<u8>,
    /// When nginx read the newest configuration with a request for it, in milliseconds since 1970; 0 if unknown.
    configured_ms: u64,
}

impl Route {
    /// Logs once that every local user can connect to the port of the app's processes.
    pub(crate) fn log_open_port(&self, port: u16) {
        if self.kind == AppKind::Generic && !self.open_port_logged.replace(true) {
            info!(
                "app {} listens on TCP port {port}, which every local user can connect to; if its program can listen on a \
                 unix socket, set \"passenger_app_listen socket\"",
                self.name
            );
        }
    }

    pub(crate) fn new(group: GroupId, described: &Described<'_>, settings: AppSettings) -> Self {
        let app = &described.app;
        Self {
            group,
            name: text(app.group),
            kind: app.kind,
            root: PathBuf::from(OsStr::from_bytes(app.root)),
            base_uri: text(described.base_uri),
            start_command: text(app.start_command),
            server_software: text(described.server_software),
            settings,
            seen_ms: Cell::new(0),
            used: Cell::new(0),
            open_port_logged: Cell::new(false),
            block: described.block.to_vec(),
        }
    }

    /// Whether a description with the root and the settings of this route describes this route.
    pub(crate) fn is(&self, described: &Described<'_>) -> bool {
        let app = &described.app;
        self.kind == app.kind
            && self.name.as_bytes() == app.group
            && self.start_command.as_bytes() == app.start_command
            && self.base_uri.as_bytes() == described.base_uri
    }

    /// Returns what the supervisor needs to start a process of this app.
    pub(crate) fn spawn_spec(&self) -> SpawnSpec {
        SpawnSpec {
            group: self.name.clone(),
            kind: self.kind,
            root: self.root.clone(),
            startup_file: self.settings.startup_file(self.kind).into(),
            start_command: self.start_command.clone(),
            interpreter: self.settings.interpreter(self.kind).to_owned(),
            base_uri: self.base_uri.clone(),
            server_software: self.server_software.clone(),
            threads: self.settings.threads(self.kind),
            preloader: false,
            settings: self.settings.process.clone(),
            handover_data: self.handover_data(),
        }
    }

    /// Whether a process started with this route equals one started with the other. A new release of nginx is not a
    /// reason to replace it.
    pub(crate) fn starts_as(&self, other: &Self) -> bool {
        let essence = |route: &Self| SpawnSpec {
            server_software: String::new(),
            handover_data: Vec::new(),
            ..route.spawn_spec()
        };
        essence(self) == essence(other)
    }

    /// Returns the app's settings as nginx sent them.
    pub(crate) fn configured(&self) -> Settings {
        Settings::decode(&self.block).unwrap_or_default()
    }

    /// Returns the directory of restart.txt.
    pub(crate) fn restart_dir(&self) -> PathBuf {
        self.root.join(&self.settings.router.restart_dir)
    }

    fn handover_data(&self) -> Vec<u8> {
        let data = HandoverData {
            group: self.name.clone().into_bytes(),
            root: self.root.as_os_str().as_bytes().to_vec(),
            kind: self.kind,
            start_command: self.start_command.clone().into_bytes(),
            base_uri: self.base_uri.clone().into_bytes(),
            server_software: self.server_software.clone().into_bytes(),
            block: self.block.clone(),
            configured_ms: self.seen_ms.get(),
        };
        bincode::serde::encode_to_vec(data, bincode::config::standard()).unwrap_or_else(|err| {
            warn!("app {}: its processes will not outlive the router: {err}", self.name);
            Vec::new()
        })
    }
}

impl HandoverData {
    /// Decodes what [`Route::spawn_spec`] encodes, or encoded in releases that did not include the time.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode_whole(bytes).or_else(|| Self::decode_whole(&[bytes, &[0]].concat()))
    }

    /// Returns when nginx read the configuration that it comes from, in milliseconds since 1970; 0 if unknown.
    pub(crate) fn configured_ms(&self) -> u64 {
        self.configured_ms
    }

    fn decode_whole(bytes: &[u8]) -> Option<Self> {
        let (data, used) = bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok()?;
        (used == bytes.len()).then_some(data)
    }

    pub(crate) fn describes(&self) -> Described<'_> {
        Described {
            app: AppRef {
                group: &self.group,
                root: &self.root,
                kind: self.kind,
                start_command: &self.start_command,
            },
            base_uri: &self.base_uri,
            server_software: &self.server_software,
            digest: Digest::of(&self.block),
            block: &self.block,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
impl Route {
    /// Creates a Ruby app with this interpreter.
    pub(crate) fn for_test(ruby: &str) -> Self {
        Self {
            group: GroupId(0),
            name: "app".into(),
            kind: AppKind::Ruby,
            root: "/app".into(),
            base_uri: String::new(),
            start_command: String::new(),
            server_software: String::new(),
            settings: AppSettings {
                router: RouterSettings { ruby: ruby.into(), ..RouterSettings::default() },
                ..AppSettings::default()
            },
            seen_ms: Cell::new(0),
            used: Cell::new(0),
            open_port_logged: Cell::new(false),
            block: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memo_keeps_the_time_of_its_configuration() {
        let route = Route::for_test("ruby");
        route.seen_ms.set(1_795_000_000_123);
        let data = HandoverData::decode(&route.handover_data()).unwrap();
        assert_eq!((data.configured_ms(), data.group.as_slice()), (1_795_000_000_123, &b"app"[..]));
    }

    #[test]
    fn a_memo_from_before_there_was_a_time_in_it_is_read() {
        let bytes = Route::for_test("ruby").handover_data();
        let before = &bytes[..bytes.len() - 1];
        let data = HandoverData::decode(before).unwrap();
        assert_eq!((data.configured_ms(), data.group.as_slice()), (0, &b"app"[..]));
        assert!(HandoverData::decode(&before[..before.len() - 1]).is_none());
    }
}
