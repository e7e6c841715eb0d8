//! The admin socket: HTTP/1.1 with JSON, one request per connection.
//!
//! Root and the daemon's own user may see and do everything, a group chosen by the operator may see everything, and an
//! app's user may see and do what concerns that app. The kernel identifies the caller, so there is no password.

mod caller;
mod callers;
mod endpoints;
pub(crate) mod http;
pub(crate) mod maintenance;
mod orders;
pub(super) mod page;
mod pool;
mod prometheus;
mod requests;
mod restart_outcome;
mod text;
mod times;
mod xml;

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tracing::debug;

use self::caller::Caller;
use self::callers::{Callers, Place};
use self::endpoints::{Endpoint, Meant};
use self::http::{Answer, Asked};
use self::pool::Snapshot;
use self::requests::Requests;
use super::metrics::page_cache::CachedPage;
use super::state::RouterState;
use common::link::Trouble;
use common::sys::unix_socket;

/// Time limit for a request and its response.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause after a failed accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until the router ends.
pub(super) async fn run(router: Rc<RouterState>, listener: UnixListener) {
    let callers = Rc::new(Callers::default());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(&router, &callers, stream),
            Err(err) => {
                let what = || format!("connections of tools cannot be accepted: {err}");
                router.troubles.occurs(Trouble::Tools, what);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves the connection, unless its user has too many: connections use descriptors that visitors need.
fn admit(router: &Rc<RouterState>, callers: &Rc<Callers>, stream: UnixStream) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    match callers.admit(credentials.uid()) {
        Some(place) => drop(tokio::task::spawn_local(serve(router.clone(), stream, place))),
        None => debug!("user {} has too many connections of tools: one more is closed", credentials.uid()),
    }
}

async fn serve(router: Rc<RouterState>, mut stream: UnixStream, place: Place) {
    let config = &router.config;
    let caller = Caller::of(place.uid(), &groups(&router, &stream), config.admin_uid, config.status_gid);
    let served = tokio::time::timeout(PATIENCE, async {
        let answer = match http::read(&mut stream).await {
            Ok(asked) => answer(&router, caller, &asked).await,
            Err(refusal) => refusal,
        };
        http::write(&mut stream, &answer).await
    });
    if let Ok(Err(err)) = served.await {
        debug!("a tool went away: {err}");
    }
}

/// Returns the caller's groups if a status group is configured.
fn groups(router: &RouterState, stream: &UnixStream) -> Vec<u32> {
    if router.config.status_gid.is_none() {
        return Vec::new();
    }
    unix_socket::peer_groups(stream).unwrap_or_else(|why| {
        debug!("the groups of a tool's user are not known: {why}");
        Vec::new()
    })
}

async fn answer(router: &RouterState, caller: Caller, asked: &Asked) -> Answer {
    match endpoints::find(&asked.method, &asked.path) {
        Meant::Endpoint(endpoint, id) => answer_with(router, caller, asked, endpoint, id).await,
        Meant::OtherMethod(method) => Answer::error(405, &format!("this path takes {method} alone")),
        Meant::Nothing => Answer::error(404, "there is nothing at this path"),
    }
}

async fn answer_with(
    router: &RouterState,
    caller: Caller,
    asked: &Asked,
    endpoint: Endpoint,
    id: &str,
) -> Answer {
    if endpoint.shows_processes() {
        router.usages.look(&router.dispatcher).await;
    }
    let snapshot = || Snapshot::take(router, caller);
    match endpoint {
        Endpoint::StatusPage if asked.has("data") => Answer::shown(page::data(router, caller)),
        Endpoint::StatusPage => status_page(),
        Endpoint::StatusData => Answer::shown(page::data(router, caller)),
        Endpoint::Ping => Answer::json(200, &json!({ "status": "ok" })),
        Endpoint::Health if router.connections.is_closing() => {
            Answer::error(503, "the daemon is about to end")
        }
        Endpoint::Health => Answer::json(200, &json!({ "status": "ok" })),
        Endpoint::Info => info(router),
        Endpoint::PoolText => {
            Answer::text(text::render(&snapshot(), asked.flag("colorize"), asked.flag("verbose")))
        }
        Endpoint::PoolJson => Answer::json(200, &snapshot()),
        Endpoint::PoolXml => Answer::xml(xml::render(&snapshot())),
        Endpoint::Requests => Answer::json(200, &Requests::take(router, caller)),
        Endpoint::Metrics => {
            let snapshot = Snapshot::without_settings(router, caller);
            Answer::metrics(metrics(router, &snapshot))
        }
        Endpoint::SpawnError => orders::spawn_error(router, caller, id),
        Endpoint::Restart => orders::restart(router, caller, &asked.body),
        Endpoint::AwaitRestart => orders::await_restart(router, caller, &asked.body).await,
        Endpoint::Detach => orders::detach(router, caller, &asked.body),
        Endpoint::Ask => orders::ask(router, caller, &asked.body).await,
        Endpoint::SetAppMode => maintenance::stand(router, caller, &asked.body),
        Endpoint::Forget => maintenance::forget(router, caller, &asked.body),
        Endpoint::ReopenLogs => reopen_logs(router, caller).await,
    }
}

fn status_page() -> Answer {
    page::html().map_or_else(|why| Answer::error(500, &format!("no page can be made: {why}")), Answer::shown)
}

/// Returns the metrics of all apps for Prometheus.
pub(super) fn metrics_for_nginx(router: &RouterState) -> CachedPage {
    let snapshot = Snapshot::without_settings(router, Caller::of_nginx());
    CachedPage {
        content_type: prometheus::CONTENT_TYPE,
        headers: vec![("Cache-Control", "no-store".to_owned())],
        body: metrics(router, &snapshot).into_bytes(),
    }
}

fn metrics(router: &RouterState, snapshot: &Snapshot) -> String {
    let metrics: Vec<_> = snapshot.ids.iter().map(|id| router.dispatcher.metrics(*id)).collect();
    prometheus::render(snapshot, &metrics)
}

fn info(router: &RouterState) -> Answer {
    Answer::json(
        200,
        &json!({
            "program": "flying-passenger",
            "version": env!("CARGO_PKG_VERSION"),
            "instance": router.config.instance_name,
            "socket_file": router.config.socket_file,
            "router_generation": router.config.generation,
        }),
    )
}

async fn reopen_logs(router: &RouterState, caller: Caller) -> Answer {
    if caller != Caller::Administrator {
        return Answer::error(403, "only root and the user who started the daemon may reopen its log");
    }
    match router.log_file.reopen().await {
        Ok(()) => Answer::json(200, &json!({ "status": "ok" })),
        Err(why) => Answer::error(500, &why),
    }
}
