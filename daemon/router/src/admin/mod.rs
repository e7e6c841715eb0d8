//! The admin socket: HTTP/1.1 with JSON, one request per connection.
//!
//! Root and the daemon's own user may see and do everything, a group chosen by the operator may see everything, and an
//! app's user may see and do what concerns that app. The kernel identifies the caller, so there is no password.

pub(super) mod caller;
mod callers;
mod endpoints;
pub(crate) mod http;
pub(crate) mod maintenance;
mod one_off;
mod orders;
pub(super) mod page;
mod pool;
mod prometheus;
mod requests;
mod restart_outcome;
mod settings;
mod text;
mod times;
mod xml;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tracing::debug;

use self::caller::Caller;
use self::callers::{Callers, CountedCaller};
use self::endpoints::{Endpoint, Lookup};
use self::http::{Request, Response};
use self::pool::Snapshot;
use self::requests::Requests;
use super::metrics::page_cache::Document;
use super::output::log_file;
use super::state::RouterState;
use common::link::Problem;
use common::sys::unix_socket;

/// Time limit for a request and its response.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until the router ends.
pub(super) async fn run(router: Arc<RouterState>, listener: UnixListener) {
    let callers = Rc::new(Callers::default());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(&router, &callers, stream),
            Err(err) => {
                let what = || format!("cannot accept connections to the admin socket: {err}");
                router.problems.occurs(Problem::Tools, what);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves the connection, unless its user has too many: connections use descriptors that visitors need.
fn admit(router: &Arc<RouterState>, callers: &Rc<Callers>, stream: UnixStream) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    match callers.admit(credentials.uid()) {
        Some(counted) => drop(tokio::task::spawn_local(serve(router.clone(), stream, counted))),
        None => {
            debug!("closed a connection of user {} to the admin socket: limit reached", credentials.uid())
        }
    }
}

async fn serve(router: Arc<RouterState>, mut stream: UnixStream, counted: CountedCaller) {
    let config = &router.config;
    let caller = Caller::of(counted.uid, &groups(&router, &stream), config.admin_uid, config.status_gid);
    let served = tokio::time::timeout(TIMEOUT, async {
        let response = match http::read(&mut stream).await {
            Ok(request) => respond(&router, caller, &request).await,
            Err(refusal) => Err(refusal),
        };
        http::write(&mut stream, &response.unwrap_or_else(|refusal| refusal)).await
    });
    if let Ok(Err(err)) = served.await {
        debug!("connection to the admin socket failed: {err}");
    }
}

/// Returns the caller's groups if a status group is configured.
fn groups(router: &RouterState, stream: &UnixStream) -> Vec<u32> {
    if router.config.status_gid.is_none() {
        return Vec::new();
    }
    unix_socket::peer_groups(stream).unwrap_or_else(|why| {
        debug!("cannot determine the groups of a caller of the admin socket: {why}");
        Vec::new()
    })
}

/// Responds to a request; an error is the response that refuses it.
async fn respond(router: &RouterState, caller: Caller, request: &Request) -> Result<Response, Response> {
    let (endpoint, id) = match endpoints::find(&request.method, &request.path) {
        Lookup::Found(endpoint, id) => (endpoint, id),
        Lookup::OtherMethod(method) => {
            return Err(Response::error(405, format_args!("this path accepts only {method}")));
        }
        Lookup::NotFound => return Err(Response::error(404, "there is no such path")),
    };
    if endpoint.shows_processes() {
        router.usages.refresh(&router.dispatcher).await;
    }
    let snapshot = || Snapshot::take(router, caller);
    let status_ok = json!({ "status": "ok" });
    Ok(match endpoint {
        Endpoint::StatusPage if request.has("data") => Response::ok(page::data(router, caller)),
        Endpoint::StatusPage => {
            let failed = |why| Response::error(500, format_args!("cannot render the page: {why}"));
            Response::ok(page::html().map_err(failed)?)
        }
        Endpoint::StatusData => Response::ok(page::data(router, caller)),
        Endpoint::Ping => Response::json(&status_ok),
        Endpoint::Health if router.connections.is_closing() => {
            return Err(Response::error(503, "the daemon is shutting down"));
        }
        Endpoint::Health => Response::json(&status_ok),
        Endpoint::Info => info(router),
        Endpoint::PoolText => {
            let (color, verbose) = (request.has("colorize=true"), request.has("verbose=true"));
            Response::text("text/plain; charset=utf-8", text::render(&snapshot(), color, verbose))
        }
        Endpoint::PoolJson => Response::json(&snapshot()),
        Endpoint::PoolXml => Response::text("text/xml; charset=utf-8", xml::render(&snapshot())),
        Endpoint::Requests => Response::json(&Requests::take(router, caller)),
        Endpoint::Metrics => Response::ok(metrics(router, caller)),
        Endpoint::SpawnError => orders::spawn_error(router, caller, id)?,
        Endpoint::Restart => orders::restart(router, caller, &request.body)?,
        Endpoint::AwaitRestart => orders::await_restart(router, caller, &request.body).await?,
        Endpoint::Detach => orders::detach(router, caller, &request.body)?,
        Endpoint::DescribeStart => one_off::describe(router, caller, &request.body)?,
        Endpoint::Ask => orders::ask(router, caller, &request.body).await?,
        Endpoint::SetAppMode => maintenance::set_mode(router, caller, &request.body)?,
        Endpoint::Forget => maintenance::forget(router, caller, &request.body)?,
        Endpoint::ReopenLogs if caller != Caller::Administrator => {
            return Err(Response::error(403, "only root and the daemon's user may reopen its log"));
        }
        Endpoint::ReopenLogs => {
            log_file::reopen(&router.log_file).await.map_err(|why| Response::error(500, why))?;
            Response::json(&status_ok)
        }
    })
}

/// Returns the metrics of the apps that the caller may see, for Prometheus.
pub(super) fn metrics(router: &RouterState, caller: Caller) -> Document {
    let snapshot = Snapshot::without_settings(router, caller);
    let metrics: Vec<_> = snapshot.ids.iter().map(|id| router.dispatcher.metrics(*id)).collect();
    Document {
        content_type: prometheus::CONTENT_TYPE,
        headers: vec![("Cache-Control", "no-store".to_owned())],
        body: prometheus::render(&snapshot, &metrics).into_bytes(),
    }
}

fn info(router: &RouterState) -> Response {
    Response::json(&json!({
        "program": "flying-passenger",
        "version": env!("CARGO_PKG_VERSION"),
        "instance": router.config.instance_name,
        "socket_file": router.config.socket_file,
        "router_generation": router.config.generation,
    }))
}
