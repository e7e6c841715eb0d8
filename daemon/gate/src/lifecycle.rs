//! Start, reload and end of the gate.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

use crate::arguments::Arguments;
use crate::daemon::greeting::greeting;
use crate::daemon::{Daemon, roster};
use crate::gate::{Configuration, Gate, Phase};
use crate::listen::{self, accept};
use crate::options::Options;
use crate::sites::Sites;

/// Time for requests at the end, and for tunnels, which may last for days.
const END_TIMEOUT: Duration = Duration::from_secs(30);
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Descriptors that are not for connections: listening sockets, files, the log.
const RESERVED: u64 = 128;
/// Descriptors of a connection: its own, one to the daemon, and a file.
const FOR_EACH: u64 = 3;
/// Most connections: the memory of each idle one is small, but not nothing.
const MAX_CONNECTIONS: u64 = 65_536;

/// The signals that the gate handles.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    /// Reopens log files in other programs, and would end this one.
    usr1: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
        })
    }
}

/// Serves until a signal ends the gate.
///
/// # Errors
///
/// Why it cannot start.
pub(crate) async fn run(arguments: &Arguments, options: Options) -> Result<(), String> {
    let mut signals = Signals::new().map_err(|err| format!("cannot handle signals: {err}"))?;
    let instance = module_core::instance::draw();
    let sites = Sites::new(&options.apps)?;
    let first = greeting(&instance);
    let listeners = listen::open(&options.listen)?;
    let places = places(options.max_connections);
    let all_places = places.available_permits();
    let daemon = Daemon::new(options.socket.clone(), first.clone());
    let (content, roster_content) =
        watch::channel(roster::Content { sites: Arc::clone(&sites), greeting: first.into() });
    let gate = Gate::new(Arc::clone(&daemon), configuration(&options, sites));
    tokio::spawn(roster::run(options.socket.clone(), options.identity.clone(), roster_content));
    let mut accepting = Vec::new();
    for listener in listeners {
        info!("flying-passenger-gate listens on {}", listener.address());
        accepting.push(tokio::spawn(accept::run(Arc::clone(&gate), listener, Arc::clone(&places))));
    }
    if geteuid().is_root() {
        warn!(
            "the gate needs no privileges; run it as another user, such as with User= or DynamicUser= of systemd"
        );
    }
    notify(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = signals.term.recv() => break,
            _ = signals.int.recv() => break,
            _ = signals.hup.recv() => reload(arguments, &gate, &instance, &content),
            _ = signals.usr1.recv() => {}
        }
    }
    notify(&[NotifyState::Stopping]);
    end(&gate, &mut signals, accepting, &places, all_places).await;
    Ok(())
}

/// Tells systemd. Without systemd this does nothing.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(err) = sd_notify::notify(states) {
        warn!("cannot notify systemd: {err}");
    }
}

fn configuration(options: &Options, sites: Arc<Sites>) -> Configuration {
    let (trusted_proxies, proxy_protocol) = (options.trusted_proxies.clone(), options.proxy_protocol);
    Configuration { sites, trusted_proxies, forwarded_host: options.forwarded_host, proxy_protocol }
}

/// Reads the configuration again. One with errors changes nothing.
fn reload(arguments: &Arguments, gate: &Gate, instance: &str, content: &watch::Sender<roster::Content>) {
    let read = Options::new(arguments).and_then(|options| {
        let sites = Sites::new(&options.apps).map_err(|problem| vec![problem])?;
        Ok((options, sites))
    });
    match read {
        Ok((options, sites)) => {
            let greeting = greeting(instance);
            gate.daemon.set_greeting(greeting.clone());
            gate.reconfigure(configuration(&options, Arc::clone(&sites)));
            content.send_replace(roster::Content { sites, greeting: greeting.into() });
            info!("the configuration was reloaded; changed addresses apply after a restart");
        }
        Err(errors) => {
            for problem in errors {
                error!("the configuration was not reloaded: {problem}");
            }
        }
    }
}

/// Stops accepting, lets requests finish, and returns when all have or the time is over.
async fn end(
    gate: &Arc<Gate>,
    signals: &mut Signals,
    accepting: Vec<tokio::task::JoinHandle<()>>,
    places: &Arc<Semaphore>,
    all_places: usize,
) {
    info!("flying-passenger-gate is ending: it accepts no further requests");
    gate.enter(Phase::Closing);
    for task in accepting {
        // It has returned, or panicked.
        let _ended = task.await;
    }
    let deadline = Instant::now() + END_TIMEOUT;
    let all = u32::try_from(all_places).unwrap_or(u32::MAX);
    let finished = async {
        // Every connection has given its place back.
        let _closed = timeout_at(deadline, places.acquire_many(all)).await;
    };
    let tunnels = async {
        sleep(TUNNEL_TIMEOUT).await;
        gate.enter(Phase::Ending);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = finished => {}
        () = tunnels => {}
        _ = signals.term.recv() => {}
        _ = signals.int.recv() => {}
    }
    let left = all_places.saturating_sub(places.available_permits());
    if left > 0 {
        warn!("flying-passenger-gate ends with {left} open connections");
    }
}

/// Returns the places for connections, after raising the limit of descriptors to the maximum.
fn places(configured: Option<u32>) -> Arc<Semaphore> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, hard)| {
        let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        if raised { hard } else { soft }
    });
    let descriptors = limit.unwrap_or(1024);
    let most = (descriptors.saturating_sub(RESERVED) / FOR_EACH).clamp(16, MAX_CONNECTIONS);
    let most = configured.map_or(most, |configured| most.min(configured.into()));
    Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(16)))
}
