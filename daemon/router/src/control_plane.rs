//! What only the main thread uses besides the shared state: what starts and ends processes, and the files that they log to.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::output::{AppLogs, Places};
use super::spawn::{EndLimits, Spawner};
use super::state::RouterState;
use super::threads::Threads;

/// How long a process may take to end before it is killed, as in Passenger; the daemon's shutdown limit applies if it
/// is shorter.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The router as its main thread has it.
#[derive(Debug)]
pub(super) struct ControlPlane {
    pub(super) shared: Arc<RouterState>,
    pub(super) spawner: Rc<Spawner>,
    pub(super) app_logs: Rc<AppLogs>,
    pub(super) threads: Rc<Threads>,
    /// Notified when the router may end.
    pub(super) finished: Notify,
}

impl ControlPlane {
    /// Must be called inside the runtime.
    pub(super) fn new(shared: Arc<RouterState>) -> Rc<Self> {
        let config = &shared.config;
        let app_logs = AppLogs::new(shared.supervisor.clone());
        let spawner = Spawner::new(
            shared.supervisor.clone(),
            shared.hooks.clone(),
            shared.dispatcher.clone(),
            shared.routes.clone(),
            Places::new(config.app_output, config.app_output_limit, app_logs.clone()),
            shared.preloaders.clone(),
            EndLimits {
                stop: STOP_LIMIT.min(Duration::from_secs(config.shutdown_limit)),
                drain: Duration::from_secs(config.drain_limit),
            },
        );
        let threads = Rc::new(Threads::start(&shared));
        Rc::new(Self { shared, spawner, app_logs, threads, finished: Notify::new() })
    }
}

impl Deref for ControlPlane {
    type Target = RouterState;

    fn deref(&self) -> &RouterState {
        &self.shared
    }
}
