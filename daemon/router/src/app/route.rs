//! An app as configured by one location, and what the supervisor and the next router need to know of it. The group that
//! it belongs to is received, not determined here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

#[cfg(test)]
use protocol::app_settings::RouterSettings;
use protocol::found::Found;
use protocol::request::{AppKind, AppRef};
use protocol::settings::{Digest, Settings};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::settings::AppSettings;
use crate::metrics::counters::AppMetrics;
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
    /// As nginx sends it: [`Route::entry`] takes it apart.
    start_command: String,
    pub(crate) server_software: String,
    pub(crate) settings: AppSettings,
    /// When nginx read the newest configuration under which a request used this route, in milliseconds since 1970.
    pub(crate) seen_ms: AtomicU64,
    /// The number of the last request that used this route: requests are counted.
    pub(crate) used: AtomicU64,
    /// Whether it was logged that its port is open to all local users.
    open_port_logged: AtomicBool,
    /// Number of [`RoutePin`]s.
    pub(crate) pins: AtomicUsize,
    /// The metrics of its group.
    pub(crate) metrics: Arc<AppMetrics>,
    /// The settings block, for the next router.
    block: Vec<u8>,
}

/// Keeps an app from being removed between the moment at which a request finds its route and the one at which the pool
/// knows the request.
#[derive(Debug)]
pub(crate) struct RoutePin(Arc<Route>);

impl RoutePin {
    pub(crate) fn new(route: Arc<Route>) -> Self {
        route.pins.fetch_add(1, Ordering::SeqCst);
        Self(route)
    }
}

impl Drop for RoutePin {
    fn drop(&mut self) {
        self.0.pins.fetch_sub(1, Ordering::SeqCst);
    }
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
        if self.kind == AppKind::Generic && !self.open_port_logged.swap(true, Ordering::Relaxed) {
            info!(
                "app {} listens on TCP port {port}, which every local user can connect to; if its program can listen on a \
                 unix socket, set \"passenger_app_listen socket\"",
                self.name
            );
        }
    }

    pub(crate) fn new(
        group: GroupId,
        metrics: Arc<AppMetrics>,
        described: &Described<'_>,
        settings: AppSettings,
    ) -> Self {
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
            seen_ms: AtomicU64::new(0),
            used: AtomicU64::new(0),
            open_port_logged: AtomicBool::new(false),
            pins: AtomicUsize::new(0),
            metrics,
            block: described.block.to_vec(),
        }
    }

    /// Returns the command of a generic app, else the startup file, and why it was chosen if it was found in the app's
    /// directory.
    pub(crate) fn entry(&self) -> Found<'_> {
        let found = Found::parse(&self.start_command);
        if self.kind == AppKind::Generic {
            return found;
        }
        let usual = self.kind.definition().startup_file.unwrap_or_default();
        match self.settings.router.startup_file.as_deref() {
            Some(configured) => Found { reason: None, value: configured },
            None if found.value.is_empty() => Found { reason: None, value: usual },
            None => found,
        }
    }

    /// Returns the command of a generic app; empty for other apps.
    pub(crate) fn command(&self) -> &str {
        if self.kind == AppKind::Generic { self.entry().value } else { "" }
    }

    /// Whether a description with the root and the settings of this route describes this route.
    pub(crate) fn is(&self, described: &Described<'_>) -> bool {
        let app = &described.app;
        self.kind == app.kind
            && self.name.as_bytes() == app.group
            && (self.start_command.as_bytes() == app.start_command
                || Found::parse(&self.start_command).value == Found::parse(&text(app.start_command)).value)
            && self.base_uri.as_bytes() == described.base_uri
    }

    /// Returns what the supervisor needs to start a process of this app.
    pub(crate) fn spawn_spec(&self) -> SpawnSpec {
        let entry = self.entry();
        SpawnSpec {
            group: self.name.clone(),
            kind: self.kind,
            root: self.root.clone(),
            startup_file: if self.kind == AppKind::Generic { "" } else { entry.value }.into(),
            start_command: self.command().to_owned(),
            found: entry.reason.unwrap_or_default().to_owned(),
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
            found: String::new(),
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
            configured_ms: self.seen_ms.load(Ordering::Relaxed),
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
    /// Sets what nginx sends as the start command.
    pub(crate) fn set_entry(&mut self, field: &str) {
        field.clone_into(&mut self.start_command);
    }

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
            seen_ms: AtomicU64::new(0),
            used: AtomicU64::new(0),
            open_port_logged: AtomicBool::new(false),
            pins: AtomicUsize::new(0),
            metrics: Arc::default(),
            block: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_becomes_startup_file_or_command() {
        let mut route = Route::for_test("ruby");
        let parts = |route: &Route| {
            let spec = route.spawn_spec();
            (spec.startup_file.display().to_string(), spec.start_command, spec.found)
        };
        let of =
            |file: &str, command: &str, found: &str| (file.to_owned(), command.to_owned(), found.to_owned());
        assert_eq!(parts(&route), of("config.ru", "", ""));
        route.set_entry("# it is there\nweb.ru");
        assert_eq!(parts(&route), of("web.ru", "", "it is there"));
        route.settings.router.startup_file = Some("own.ru".into());
        assert_eq!(parts(&route), of("own.ru", "", ""), "a directive takes precedence");
        route.kind = AppKind::Generic;
        route.set_entry("# \"web\" of Procfile\n./serve");
        assert_eq!(parts(&route), of("", "./serve", "\"web\" of Procfile"));
        route.set_entry("./serve");
        assert_eq!((parts(&route), route.command()), (of("", "./serve", ""), "./serve"));
    }

    #[test]
    fn another_reason_for_the_same_file_is_no_other_app() {
        let mut route = Route::for_test("ruby");
        route.set_entry("# it is there\nweb.ru");
        let is = |start_command: &[u8]| {
            let app = AppRef { group: b"app", root: b"/app", kind: AppKind::Ruby, start_command };
            let digest = Digest::of(b"");
            route.is(&Described { app, base_uri: b"", server_software: b"", digest, block: b"" })
        };
        assert!(is(b"# a newer release of nginx's module says so\nweb.ru"));
        assert!(!is(b"# it is there\nother.ru") && !is(b""));
    }

    #[test]
    fn a_memo_keeps_the_time_of_its_configuration() {
        let route = Route::for_test("ruby");
        route.seen_ms.store(1_795_000_000_123, Ordering::Relaxed);
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
