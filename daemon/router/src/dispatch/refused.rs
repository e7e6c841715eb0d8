//! The reasons why a request gets no process, with their log messages.

use std::sync::Arc;
use std::time::Duration;

use protocol::request::AppKind;
use thiserror::Error;

use crate::app_protocol::upload_rate::TooSlow;
use crate::report::SpawnFailure;
use common::link::Maintenance;

/// Why a request gets no process.
#[derive(Debug, Clone, Error)]
pub(crate) enum Refused {
    #[error("its request queue is full")]
    QueueFull,
    #[error("it waited for {} s (passenger_max_request_queue_time)", .0.as_secs())]
    QueuedTooLong(Duration),
    #[error("it does not start (error ID {})", .0.id)]
    SpawnFailed(Arc<SpawnFailure>),
    #[error("it is under maintenance")]
    Maintenance(Arc<Maintenance>),
    /// The router has no descriptor left for a connection to its process.
    #[error("no descriptor was free for a connection to its process")]
    NoDescriptors,
    /// The app's tunnels use all descriptors that they may.
    #[error(
        "it has as many tunnels (WebSockets) as its share of the router's {0} descriptors allows \
         (--core-file-descriptor-ulimit, systemd's LimitNOFILE=)"
    )]
    TunnelsFull(u64),
    /// The processes of the request's group are of another kind.
    #[error(
        "nginx's configuration describes another app of this name, of type {}: each needs its own \
         passenger_app_group_name", .0.as_str()
    )]
    OtherKind(AppKind),
    #[error("the method OOBW is reserved for the daemon")]
    OwnMethod,
    /// The request's body arrived too slowly while other requests waited.
    #[error("{0}")]
    SlowUpload(TooSlow),
    #[error("the daemon is shutting down")]
    ShuttingDown,
}
