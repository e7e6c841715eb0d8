//! Endpoints for administrators: restart an app, detach or ask a process, read the report of a failed start.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::http::Answer;
use super::restart_outcome;
use crate::pool::{GroupId, RestartHow};
use crate::request::ask_process;
use crate::request::ask_process::AskError;
use crate::state::RouterState;

/// Longest time that one request waits; for longer waits, the client repeats the request.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartOrder {
    name: String,
    /// `blocking` or `rolling`; when missing, the app's configuration applies.
    restart_method: Option<String>,
}

pub(super) fn restart(router: &RouterState, caller: Caller, body: &[u8]) -> Answer {
    let order: RestartOrder = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    let how = match order.restart_method.as_deref() {
        None => None,
        Some("blocking") => Some(RestartHow::Blocking),
        Some("rolling") => Some(RestartHow::Rolling),
        Some(_) => return Answer::error(422, "restart_method must be \"blocking\" or \"rolling\""),
    };
    let group = match group(router, caller, &order.name) {
        Ok(group) => group,
        Err(refusal) => return refusal,
    };
    let configured = router.dispatcher.route(group).map(|route| route.settings.restart_how());
    let how = how.or(configured).unwrap_or(RestartHow::Blocking);
    tracing::info!("app {}: restarting, as an administrator says", order.name);
    router.dispatcher.restart(group, how);
    let version = router.dispatcher.inspect(|pool, _| pool.group(group).generation);
    let method = if how == RestartHow::Rolling { "rolling" } else { "blocking" };
    Answer::json(200, &json!({ "restarted": true, "restart_method": method, "version": version }))
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
pub(super) async fn await_restart(router: &RouterState, caller: Caller, body: &[u8]) -> Answer {
    let order: AwaitOrder = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    let group = match group(router, caller, &order.name) {
        Ok(group) => group,
        Err(refusal) => return refusal,
    };
    let settled = restart_outcome::of(&router.dispatcher, group, order.version);
    let longest = order.seconds.map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT);
    match tokio::time::timeout(longest, settled).await {
        Ok(outcome) => Answer::json(200, &outcome.to_json()),
        Err(_) => Answer::json(200, &json!({ "outcome": "pending" })),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetachOrder {
    pid: i32,
}

pub(super) fn detach(router: &RouterState, caller: Caller, body: &[u8]) -> Answer {
    let order: DetachOrder = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    match owner_of(router, order.pid) {
        Some(uid) if !caller.may_change(uid) => {
            Answer::error(403, "only root and the app's own user may detach it")
        }
        Some(_) => Answer::json(200, &json!({ "detached": router.dispatcher.detach(order.pid) })),
        None => Answer::error(404, "no app process has this PID"),
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
pub(super) async fn ask(router: &RouterState, caller: Caller, body: &[u8]) -> Answer {
    let AskOrder { pid, method, uri, headers } = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    if owner_of(router, pid).is_some_and(|uid| !caller.may_change(uid)) {
        return Answer::error(403, "only root and the app's own user may ask it");
    }
    let request = ask_process::DirectRequest { pid, method, uri, headers };
    match ask_process::ask(router, &request, LONGEST_WAIT / 2).await {
        Ok(reply) => Answer::json(
            200,
            &json!({
                "status": reply.status, "headers": reply.headers,
                "body": String::from_utf8_lossy(&reply.body), "cut": reply.cut,
            }),
        ),
        Err(AskError::NoProcess) => Answer::error(404, &AskError::NoProcess.to_string()),
        Err(why @ AskError::Impossible(_)) => Answer::error(422, &why.to_string()),
        Err(why) => Answer::error(504, &format!("process {pid} gives no answer: {why}")),
    }
}

/// Returns the report of a failed start.
pub(super) fn spawn_error(router: &RouterState, caller: Caller, id: &str) -> Answer {
    if caller != Caller::Administrator {
        return Answer::error(403, "only root and the daemon's own user may read what apps have written");
    }
    match router.dispatcher.deployments.report(id) {
        Some(failure) => Answer::json(200, &*failure),
        None => {
            Answer::error(404, "no failed start of this daemon's router has this ID; the log may know more")
        }
    }
}

pub(super) fn group(router: &RouterState, caller: Caller, name: &str) -> Result<GroupId, Answer> {
    let groups = router.routes.groups();
    let Some((_, group)) = groups.iter().find(|(found, _)| found == name) else {
        return Err(Answer::error(404, "no app group has this name"));
    };
    if caller.may_change_group(router, *group) {
        Ok(*group)
    } else {
        Err(Answer::error(403, "only root and the app's own user may change it"))
    }
}

pub(super) fn read<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body)
        .map_err(|err| Answer::error(422, &format!("the body is not what it should be: {err}")))
}
