//! One application: its settings, and what is found in its directory.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex as PlainMutex;
use std::time::Duration;

use common::config::gate::GateApp;
use module_core::app_kind::AppType;
use module_core::app_location::{AppConf, Lookup, find_app, locate};
use module_core::detect::Detected;
use module_core::negative_cache::NegativeCache;
use module_core::settings::{Block, Written};
use protocol::request::AppRef;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long the result of a search in the application's directory is used.
const CACHE_TIME: Duration = Duration::from_secs(10);
/// How long a request waits for the disk.
pub(crate) const DISK_TIMEOUT: Duration = Duration::from_secs(10);
/// Threads that may wait for the files of one application.
const MAX_DISK_THREADS: usize = 16;

/// An application as configured.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) hosts: Vec<String>,
    pub(crate) base_uri: String,
    pub(crate) conf: AppConf,
    pub(crate) written: Written,
    pub(crate) settings: Block,
    pub(crate) public: PathBuf,
    pub(crate) public_bytes: Vec<u8>,
    pub(crate) pre_start: bool,
    root: Vec<u8>,
    group: Vec<u8>,
    lookup: Mutex<LookupState>,
    /// Paths that are not public files.
    pub(crate) missing: PlainMutex<NegativeCache>,
    pub(crate) disk: Semaphore,
}

#[derive(Debug, Default)]
struct LookupState {
    found: Option<(Instant, Lookup)>,
    /// A search that has not ended: another one would also wait for the disk.
    running: Option<JoinHandle<Lookup>>,
}

/// What is in the application's directory.
#[derive(Debug)]
pub(crate) enum Located {
    App(Detected),
    NoApp,
    /// It cannot be determined, for this reason.
    Failed(String),
}

impl Site {
    /// Returns the application of an entry.
    ///
    /// # Errors
    ///
    /// A message when its settings are too long.
    pub(crate) fn new(app: &GateApp) -> Result<Self, String> {
        let mut written = Written::default();
        for (name, value) in app.settings.iter() {
            written.state(name, value.clone()).map_err(|err| format!("\"{name}\" {err}"))?;
        }
        let settings = written.encode().map_err(|err| {
            format!(
                "the settings of the application in {} do not fit into a request: {err}",
                app.root.display()
            )
        })?;
        let conf = AppConf {
            root: Some(app.root.display().to_string()),
            group: app.group.clone(),
            env: written.text("app_env").unwrap_or("production").to_owned(),
            kind: app.app_type.as_deref().map(AppType::parse),
            start_command: app.start_command.clone(),
            varies: false,
        };
        let public_bytes = app.public.as_os_str().as_bytes().to_vec();
        let (root, group) = locate(&conf, &public_bytes, !app.base_uri.is_empty());
        Ok(Self {
            hosts: app.hosts.clone(),
            base_uri: app.base_uri.clone(),
            conf,
            written,
            settings,
            public: app.public.clone(),
            public_bytes,
            pre_start: app.pre_start,
            root,
            group,
            lookup: Mutex::default(),
            missing: PlainMutex::default(),
            disk: Semaphore::new(MAX_DISK_THREADS),
        })
    }

    /// Returns its directory, for messages.
    pub(crate) fn root_name(&self) -> String {
        String::from_utf8_lossy(&self.root).into_owned()
    }

    /// Returns the application as a request names it.
    pub(crate) fn app_ref<'s>(&'s self, app: &'s Detected) -> AppRef<'s> {
        let (group, root, kind) = (&self.group[..], &self.root[..], app.kind);
        AppRef { group, root, kind, start_command: app.start_command.as_bytes() }
    }

    /// Searches for the application in its directory. Requests at the same time share one search.
    pub(crate) async fn locate(&self) -> Located {
        let searched = async {
            let mut state = self.lookup.lock().await;
            if let Some((at, lookup)) = &state.found
                && at.elapsed() < CACHE_TIME
            {
                return lookup.clone().map_err(|err| err.to_string());
            }
            let running = state.running.get_or_insert_with(|| {
                let (conf, root) = (self.conf.clone(), self.root.clone());
                tokio::task::spawn_blocking(move || find_app(&conf, &root))
            });
            let lookup = running.await;
            state.running = None;
            let lookup =
                lookup.map_err(|err| format!("internal error while an application was searched: {err}"))?;
            state.found = Some((Instant::now(), lookup.clone()));
            lookup.map_err(|err| err.to_string())
        };
        match timeout(DISK_TIMEOUT, searched).await {
            Ok(Ok(Some(app))) => Located::App(app),
            Ok(Ok(None)) => Located::NoApp,
            Ok(Err(problem)) => Located::Failed(problem),
            Err(_) => Located::Failed(format!("the directory {} does not answer", self.root_name())),
        }
    }
}
