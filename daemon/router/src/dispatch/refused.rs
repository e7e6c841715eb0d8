//! The reasons why a request gets no process, with their log messages.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use protocol::request::AppKind;

use crate::app_protocol::upload_rate::TooSlow;
use crate::report::SpawnFailure;
use common::link::Maintenance;

/// Why a request gets no process.
#[derive(Debug, Clone)]
pub(crate) enum Refused {
    /// The app's queue is full.
    QueueFull,
    /// The request waited for longer than it may.
    QueuedTooLong(Duration),
    /// The app does not start.
    SpawnFailed(Rc<SpawnFailure>),
    /// The app is under maintenance.
    Maintenance(Rc<Maintenance>),
    /// The router has no descriptor left for a connection to its process.
    NoDescriptors,
    /// The app's tunnels use all descriptors that they may.
    TunnelsFull(u64),
    /// The processes of the request's group are of another kind.
    OtherKind(AppKind),
    /// The request has a method that only the daemon may use.
    OwnMethod,
    /// The request's body arrived too slowly while other requests waited.
    SlowUpload(TooSlow),
    /// The daemon is shutting down.
    ShuttingDown,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.write_str("its request queue is full"),
            Self::QueuedTooLong(limit) => {
                write!(f, "it waited for {} s (passenger_max_request_queue_time)", limit.as_secs())
            }
            Self::SpawnFailed(failure) => write!(f, "it does not start (error ID {})", failure.id),
            Self::Maintenance(_) => f.write_str("it is under maintenance"),
            Self::NoDescriptors => f.write_str("no descriptor was free for a connection to its process"),
            Self::TunnelsFull(descriptors) => write!(
                f,
                "it has as many tunnels (WebSockets) as its share of the router's {descriptors} descriptors allows \
                 (--core-file-descriptor-ulimit, systemd's LimitNOFILE=)"
            ),
            Self::OtherKind(kind) => write!(
                f,
                "nginx's configuration describes another app of this name, of type {}: each needs its own \
                 passenger_app_group_name",
                kind.as_str()
            ),
            Self::OwnMethod => f.write_str("the method OOBW is the daemon's own"),
            Self::SlowUpload(slow) => slow.fmt(f),
            Self::ShuttingDown => f.write_str("the daemon is about to end"),
        }
    }
}
