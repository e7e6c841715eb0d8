//! From a request to its application: settings by digest, group by name.
//!
//! The hot path is one look-up by digest and one by root. What was parsed once for a settings block is kept; a
//! request with another block for the same group brings the group up to date.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use protocol::PayloadError;
use protocol::request::{AppKind, AppRef, Request};
use protocol::settings::{Digest, Settings};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::dispatch::Dispatcher;
use super::meaningless;
use super::pool::GroupId;
use super::settings::AppSettings;
use crate::link::SpawnSpec;

/// An application with one set of settings, as requests name it.
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
    /// The settings block, for the next router.
    block: Vec<u8>,
}

/// What the next router needs to know about a process: everything that names its route.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Memo {
    group: Vec<u8>,
    root: Vec<u8>,
    kind: AppKind,
    start_command: Vec<u8>,
    base_uri: Vec<u8>,
    server_software: Vec<u8>,
    block: Vec<u8>,
}

/// One settings block may serve many roots: `root` can hold variables.
type ByRoot = HashMap<Vec<u8>, Rc<Route>>;

/// Every route that was used.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_digest: RefCell<HashMap<Digest, ByRoot>>,
    groups: RefCell<HashMap<String, GroupId>>,
}

impl Routes {
    /// The request's route, made at its first use.
    pub(crate) fn find(
        &self,
        request: &Request<'_>,
        dispatcher: &Dispatcher,
    ) -> Result<Rc<Route>, PayloadError> {
        let head = &request.head;
        if let Some(route) = self.known(head.settings_digest, &head.app, head.base_uri) {
            return Ok(route);
        }
        self.learn(&head.app, head.base_uri, head.server_software, request.settings, dispatcher)
    }

    /// The route that an earlier router gave a process.
    pub(crate) fn recall(&self, memo: &Memo, dispatcher: &Dispatcher) -> Result<Rc<Route>, PayloadError> {
        let app = AppRef {
            group: &memo.group,
            root: &memo.root,
            kind: memo.kind,
            start_command: &memo.start_command,
        };
        match self.known(Digest::of(&memo.block), &app, &memo.base_uri) {
            Some(route) => Ok(route),
            None => self.learn(&app, &memo.base_uri, &memo.server_software, &memo.block, dispatcher),
        }
    }

    /// Every group's name, with its number.
    pub(crate) fn groups(&self) -> Vec<(String, GroupId)> {
        let mut all: Vec<_> = self.groups.borrow().iter().map(|(name, id)| (name.clone(), *id)).collect();
        all.sort();
        all
    }

    fn known(&self, digest: Digest, app: &AppRef<'_>, base_uri: &[u8]) -> Option<Rc<Route>> {
        let routes = self.by_digest.borrow();
        let route = routes.get(&digest)?.get(app.root)?;
        let same = route.kind == app.kind
            && route.name.as_bytes() == app.group
            && route.start_command.as_bytes() == app.start_command
            && route.base_uri.as_bytes() == base_uri;
        same.then(|| route.clone())
    }

    fn learn(
        &self,
        app: &AppRef<'_>,
        base_uri: &[u8],
        server_software: &[u8],
        block: &[u8],
        dispatcher: &Dispatcher,
    ) -> Result<Rc<Route>, PayloadError> {
        let (settings, unknown) = AppSettings::from_block(&Settings::decode(block)?);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = text(app.group);
        tell_what_has_no_effect(&name, unknown);
        let group = self.group(&name, &settings, dispatcher);
        let route = Rc::new(Route {
            group,
            name,
            kind: app.kind,
            root: path(app.root),
            base_uri: text(base_uri),
            start_command: text(app.start_command),
            server_software: text(server_software),
            settings,
            block: block.to_vec(),
        });
        dispatcher.set_route(group, route.clone());
        let mut routes = self.by_digest.borrow_mut();
        routes.entry(Digest::of(block)).or_default().insert(app.root.to_vec(), route.clone());
        Ok(route)
    }

    fn group(&self, name: &str, settings: &AppSettings, dispatcher: &Dispatcher) -> GroupId {
        let mut groups = self.groups.borrow_mut();
        if let Some(id) = groups.get(name) {
            dispatcher.set_group_options(*id, settings.pool);
            return *id;
        }
        let id = dispatcher.add_group(settings.pool);
        groups.insert(name.to_owned(), id);
        id
    }
}

impl Route {
    /// What the supervisor needs to start a process of this app.
    pub(crate) fn spawn_spec(&self) -> SpawnSpec {
        SpawnSpec {
            group: self.name.clone(),
            kind: self.kind,
            root: self.root.clone(),
            startup_file: self.settings.startup_file(self.kind).into(),
            start_command: self.start_command.clone(),
            interpreter: self.settings.interpreter(self.kind).to_owned(),
            app_env: self.settings.app_env.clone(),
            base_uri: self.base_uri.clone(),
            user: self.settings.user.clone(),
            user_group: self.settings.user_group.clone(),
            server_software: self.server_software.clone(),
            env: self.settings.env.clone(),
            memo: self.memo(),
        }
    }

    /// The app's settings as nginx sends them.
    pub(crate) fn said(&self) -> Settings {
        Settings::decode(&self.block).unwrap_or_default()
    }

    /// The directory of restart.txt.
    pub(crate) fn restart_dir(&self) -> PathBuf {
        self.root.join(&self.settings.restart_dir)
    }

    fn memo(&self) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        let memo = Memo {
            group: self.name.clone().into_bytes(),
            root: self.root.as_os_str().as_bytes().to_vec(),
            kind: self.kind,
            start_command: self.start_command.clone().into_bytes(),
            base_uri: self.base_uri.clone().into_bytes(),
            server_software: self.server_software.clone().into_bytes(),
            block: self.block.clone(),
        };
        bincode::serde::encode_to_vec(memo, bincode::config::standard()).unwrap_or_else(|err| {
            warn!("app {}: its processes will not outlive the router: {err}", self.name);
            Vec::new()
        })
    }
}

impl Memo {
    /// Reads what [`Route::spawn_spec`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (memo, used) = bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok()?;
        (used == bytes.len()).then_some(memo)
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn tell_what_has_no_effect(app: &str, unknown: Vec<String>) {
    let (for_good, yet): (Vec<_>, Vec<_>) =
        unknown.into_iter().partition(|name| meaningless::why(name).is_some());
    for name in for_good {
        info!("app {app}: passenger_{name} has no effect: {}", meaningless::why(&name).unwrap_or_default());
    }
    if !yet.is_empty() {
        info!("app {app}: settings without effect in this release: {}", yet.join(", "));
    }
}
