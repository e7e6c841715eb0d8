//! The state that all connections share: the configuration, the daemon, and whether the gate is about to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use common::config::gate::TrustedNetwork;
use tokio::sync::{Notify, watch};

use crate::daemon::Daemon;
use crate::request::forwarded::{Peer, is_trusted};
use crate::sites::Sites;

/// What a reload replaces.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) sites: Arc<Sites>,
    pub(crate) trusted_proxies: Vec<TrustedNetwork>,
    /// Whether they name the host.
    pub(crate) forwarded_host: bool,
    /// Whether each connection begins with a PROXY header.
    pub(crate) proxy_protocol: bool,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No further requests are accepted.
    Closing,
    /// Tunnels end as well.
    Ending,
}

/// The shared state.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) daemon: Arc<Daemon>,
    configuration: RwLock<Arc<Configuration>>,
    phase: watch::Sender<Phase>,
    /// Wakes a connection that waits for a request, when another one needs its place.
    place_needed: Notify,
    warned_of_proxy: AtomicBool,
}

impl Gate {
    pub(crate) fn new(daemon: Arc<Daemon>, configuration: Configuration) -> Arc<Self> {
        Arc::new(Self {
            daemon,
            configuration: RwLock::new(Arc::new(configuration)),
            phase: watch::Sender::new(Phase::Serving),
            place_needed: Notify::new(),
            warned_of_proxy: AtomicBool::new(false),
        })
    }

    /// Returns the configuration for the next request.
    pub(crate) fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(&self.configuration.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration.
    pub(crate) fn reconfigure(&self, configuration: Configuration) {
        *self.configuration.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configuration);
        self.warned_of_proxy.store(false, Ordering::Relaxed);
    }

    /// Whether the peer's statements about its clients are believed.
    pub(crate) fn is_trusted(&self, peer: Peer) -> bool {
        is_trusted(&self.configuration().trusted_proxies, peer.address.map(|address| address.ip()))
    }

    /// Whether to log that a proxy is not trusted: once for each configuration.
    pub(crate) fn warns_of_proxy(&self) -> bool {
        !self.warned_of_proxy.swap(true, Ordering::Relaxed)
    }

    /// Moves on to a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Whether no further requests are accepted.
    pub(crate) fn is_closing(&self) -> bool {
        *self.phase.borrow() >= Phase::Closing
    }

    /// Waits until no further requests are accepted.
    pub(crate) async fn closing(&self) {
        self.wait_for(Phase::Closing).await;
    }

    /// Waits until tunnels are to end.
    pub(crate) async fn tunnels_unwanted(&self) {
        self.wait_for(Phase::Ending).await;
    }

    /// Waits until a connection without a request is to be closed.
    pub(crate) async fn idle_unwanted(&self) {
        tokio::select! {
            () = self.closing() => {}
            () = self.place_needed.notified() => {}
        }
    }

    /// Has a connection that waits for a request closed.
    pub(crate) fn need_place(&self) {
        self.place_needed.notify_one();
    }

    async fn wait_for(&self, phase: Phase) {
        // The sender lives as long as this.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }
}
