//! From a request to its application: settings by digest, group by name.
//!
//! The hot path is one look-up by digest and one by root. What was parsed once for a settings block is kept; a
//! request with another block for the same group brings the group up to date.

mod announced;
mod rosters;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;

use protocol::PayloadError;
use protocol::request::{AppKind, AppRef, Request};
use protocol::settings::{Digest, Settings};
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use self::rosters::Rosters;
pub(crate) use self::rosters::{Roster, RosterId};
use super::dispatch::Dispatcher;
use super::followed::{Followed, News};
use super::meaningless;
use super::pool::{GroupId, GroupOptions, RestartHow};
use super::settings::AppSettings;
use crate::config::AppDefault;
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
    /// When nginx read the newest configuration under which a request came by it, in milliseconds since 1970.
    pub(super) seen_ms: Cell<u64>,
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
    /// What holds where nginx says nothing.
    defaults: Settings,
    by_digest: RefCell<HashMap<Digest, ByRoot>>,
    groups: RefCell<HashMap<String, GroupId>>,
    followed: RefCell<HashMap<GroupId, Followed>>,
    rosters: RefCell<Rosters>,
    /// Apps that are no longer configured and not forgotten yet.
    leaving: RefCell<HashSet<String>>,
}

impl Routes {
    /// None yet, with these settings where nginx says nothing.
    pub(crate) fn new(defaults: &[AppDefault]) -> Self {
        let mut settings = Settings::new();
        defaults.iter().for_each(|default| settings.set(&default.name, default.value.clone()));
        Self { defaults: settings, ..Self::default() }
    }

    /// The request's route, made at its first use. nginx read the configuration that it follows at `configured_ms`.
    pub(crate) fn find(
        &self,
        request: &Request<'_>,
        configured_ms: u64,
        dispatcher: &Dispatcher,
    ) -> Result<Rc<Route>, PayloadError> {
        let head = &request.head;
        let known = self.known(head.settings_digest, &head.app, head.base_uri);
        if let Some(route) = known.as_ref().filter(|route| route.seen_ms.get() >= configured_ms) {
            return Ok(route.clone());
        }
        let route = match known {
            Some(route) => route,
            None => {
                self.learn(&head.app, head.base_uri, head.server_software, request.settings, dispatcher)?
            }
        };
        self.follow(&route, configured_ms, dispatcher);
        self.note_request(&route.name, configured_ms, dispatcher);
        Ok(route)
    }

    /// The route that an earlier router gave a process.
    pub(crate) fn recall(&self, memo: &Memo, dispatcher: &Dispatcher) -> Result<Rc<Route>, PayloadError> {
        let app = AppRef {
            group: &memo.group,
            root: &memo.root,
            kind: memo.kind,
            start_command: &memo.start_command,
        };
        if let Some(route) = self.known(Digest::of(&memo.block), &app, &memo.base_uri) {
            return Ok(route);
        }
        let route = self.learn(&app, &memo.base_uri, &memo.server_software, &memo.block, dispatcher)?;
        self.follow(&route, 0, dispatcher);
        Ok(route)
    }

    /// Brings the route's group up to date with a configuration that is newer than the one it knows.
    fn follow(&self, route: &Rc<Route>, configured_ms: u64, dispatcher: &Dispatcher) {
        let mut followed = self.followed.borrow_mut();
        let news = match followed.get_mut(&route.group) {
            Some(followed) => followed.hear(route, configured_ms),
            None => {
                followed.insert(route.group, Followed::new(route.clone(), configured_ms));
                News::Same
            }
        };
        drop(followed);
        dispatcher.set_group_options(route.group, route.settings.pool);
        match news {
            News::Same => dispatcher.set_route(route.group, route.clone()),
            News::Beside => debug!("app {}: locations describe it in different ways", route.name),
            News::Changed => {
                info!("app {}: its configuration has changed: its processes are replaced", route.name);
                dispatcher.set_route(route.group, route.clone());
                dispatcher.restart(route.group, RestartHow::Rolling);
            }
        }
    }

    /// Every group's name, with its number.
    pub(crate) fn groups(&self) -> Vec<(String, GroupId)> {
        let mut all: Vec<_> = self.groups.borrow().iter().map(|(name, id)| (name.clone(), *id)).collect();
        all.sort();
        all
    }

    /// The number of the group of this name.
    pub(crate) fn id_of(&self, name: &str) -> Option<GroupId> {
        self.groups.borrow().get(name).copied()
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
        let mut said = self.defaults.clone();
        for (name, value) in Settings::decode(block)?.iter() {
            said.set(name, value.clone());
        }
        let (settings, unknown) = AppSettings::from_block(&said);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = text(app.group);
        tell_what_has_no_effect(&name, unknown);
        let group = self.group(&name, settings.pool, dispatcher);
        let route = Rc::new(Route {
            group,
            name,
            kind: app.kind,
            root: path(app.root),
            base_uri: text(base_uri),
            start_command: text(app.start_command),
            server_software: text(server_software),
            settings,
            seen_ms: Cell::new(0),
            block: block.to_vec(),
        });
        let mut routes = self.by_digest.borrow_mut();
        routes.entry(Digest::of(block)).or_default().insert(app.root.to_vec(), route.clone());
        Ok(route)
    }

    fn group(&self, name: &str, options: GroupOptions, dispatcher: &Dispatcher) -> GroupId {
        let mut groups = self.groups.borrow_mut();
        *groups.entry(name.to_owned()).or_insert_with(|| dispatcher.add_group(options))
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
            open_files: self.settings.open_files,
            no_new_privs: self.settings.no_new_privs,
            limits: self.settings.limits,
            preload_bundler: self.settings.preload_bundler,
            load_shell_envvars: self.settings.load_shell_envvars,
            threads: self.settings.threads(self.kind),
            listen: self.settings.listen,
            meteor_settings: self.settings.meteor_settings.clone(),
            preloader: false,
            memo: self.memo(),
        }
    }

    /// Whether a process started by this route is what one started by the other is. A change of nginx's release is no
    /// reason to replace it.
    pub(crate) fn starts_as(&self, other: &Self) -> bool {
        let essence = |route: &Self| SpawnSpec {
            server_software: String::new(),
            memo: Vec::new(),
            ..route.spawn_spec()
        };
        essence(self) == essence(other)
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

#[cfg(test)]
impl Route {
    /// A Ruby app with this interpreter.
    pub(crate) fn for_test(ruby: &str) -> Self {
        Self {
            group: GroupId(0),
            name: "app".into(),
            kind: AppKind::Ruby,
            root: "/app".into(),
            base_uri: String::new(),
            start_command: String::new(),
            server_software: String::new(),
            settings: AppSettings { ruby: ruby.into(), ..AppSettings::default() },
            seen_ms: Cell::new(0),
            block: Vec::new(),
        }
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
