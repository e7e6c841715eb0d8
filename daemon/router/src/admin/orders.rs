//! Endpoints for administrators: restart an app, detach or ask a process, read the report of a failed start.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::http::Response;
use super::restart_outcome;
use crate::pool::{GroupId, RestartHow};
use crate::request::ask_process;
use crate::request::ask_process::AskError;
use crate::state::RouterState;

/// Maximum time that one request waits; for longer waits, the client repeats the request.
const MAX_WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartOrder {
    name: String,
    /// `blocking` or `rolling`; when missing, the app's configuration applies.
    restart_method: Option<String>,
}

pub(super) fn restart(router: &RouterState, caller: Caller, body: &[u8]) -> Result<Response, Response> {
    let order: RestartOrder = read(body)?;
    let how = match order.restart_method.as_deref() {
        None => None,
        Some("blocking") => Some(RestartHow::Blocking),
        Some("rolling") => Some(RestartHow::Rolling),
        Some(_) => return Err(Response::error(422, "restart_method must be \"blocking\" or \"rolling\"")),
    };
    let group = group(router, caller, &order.name)?;
    let configured = router.dispatcher.route(group).map(|route| route.settings.restart_how());
    let how = how.or(configured).unwrap_or(RestartHow::Blocking);
    tracing::info!("app {}: restarting, as requested by an administrator", order.name);
    router.dispatcher.restart(group, how);
    let version = router.dispatcher.inspect(|pool, _| pool.group(group).generation);
    let method = if how == RestartHow::Rolling { "rolling" } else { "blocking" };
    Ok(Response::json(&json!({ "restarted": true, "restart_method": method, "version": version })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwaitOrder {
    name: String,
    /// The version, as returned for the restart.
    version: u64,
    /// Maximum number of seconds to wait.
    seconds: Option<u64>,
}

/// Waits until the restart has finished; reports `pending` after the maximum wait.
pub(super) async fn await_restart(
    router: &RouterState,
    caller: Caller,
    body: &[u8],
) -> Result<Response, Response> {
    let order: AwaitOrder = read(body)?;
    let group = group(router, caller, &order.name)?;
    let outcome = restart_outcome::wait(&router.dispatcher, group, order.version);
    let limit = order.seconds.map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT);
    let outcome = tokio::time::timeout(limit, outcome).await;
    Ok(Response::json(&outcome.unwrap_or_else(|_| json!({ "outcome": "pending" }))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetachOrder {
    pid: i32,
}

pub(super) fn detach(router: &RouterState, caller: Caller, body: &[u8]) -> Result<Response, Response> {
    let order: DetachOrder = read(body)?;
    match owner_of(router, order.pid) {
        Some(uid) if !caller.may_change(uid) => {
            Err(Response::error(403, "only root and the app's user may detach its processes"))
        }
        Some(_) => Ok(Response::json(&json!({ "detached": router.dispatcher.detach(order.pid) }))),
        None => Err(Response::error(404, "no app process has this PID")),
    }
}

/// Returns the user that the process with this PID runs as.
fn owner_of(router: &RouterState, pid: i32) -> Option<u32> {
    router.dispatcher.inspect(|_, workers| {
        workers.values().find(|worker| worker.record.pid == pid).map(|worker| worker.record.user.uid)
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskOrder {
    pid: i32,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
}

/// Sends a request to one process and returns its response.
pub(super) async fn ask(router: &RouterState, caller: Caller, body: &[u8]) -> Result<Response, Response> {
    let AskOrder { pid, method, uri, headers } = read(body)?;
    if owner_of(router, pid).is_some_and(|uid| !caller.may_change(uid)) {
        return Err(Response::error(403, "only root and the app's user may send requests to its processes"));
    }
    let request = ask_process::DirectRequest { pid, method, uri, headers };
    let response = ask_process::ask(router, &request, MAX_WAIT / 2).await.map_err(|why| match why {
        AskError::NoProcess => Response::error(404, why),
        AskError::Invalid(_) => Response::error(422, why),
        _ => Response::error(504, format_args!("process {pid} did not respond: {why}")),
    })?;
    Ok(Response::json(&json!({
        "status": response.status, "headers": response.headers,
        "body": String::from_utf8_lossy(&response.body), "truncated": response.truncated,
    })))
}

/// Returns the report of a failed start.
pub(super) fn spawn_error(router: &RouterState, caller: Caller, id: &str) -> Result<Response, Response> {
    if caller != Caller::Administrator {
        return Err(Response::error(403, "only root and the daemon's user may read the output of apps"));
    }
    let why = "no failed start of this daemon's router has this ID; search the log for it";
    router
        .dispatcher
        .deployments
        .report(id)
        .map(|failure| Response::json(&*failure))
        .ok_or_else(|| Response::error(404, why))
}

/// Returns the group with this name, if the caller may change it.
pub(super) fn group(router: &RouterState, caller: Caller, name: &str) -> Result<GroupId, Response> {
    let found = router.routes.groups().into_iter().find(|(found, _)| found == name);
    let (_, group) =
        found.ok_or_else(|| Response::error(404, format_args!("no app group has the name {name}")))?;
    if caller.may_change_group(router, group) {
        Ok(group)
    } else {
        Err(Response::error(403, "only root and the app's user may change it"))
    }
}

pub(super) fn read<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|err| Response::error(422, format_args!("invalid request body: {err}")))
}
