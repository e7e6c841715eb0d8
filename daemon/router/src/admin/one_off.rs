//! Endpoint that tells how the processes of an app are started, secrets included, for `passenger-config exec`. Only root,
//! the daemon's user and the app's user get an answer.

use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::http::Response;
use super::orders;
use crate::state::RouterState;
use common::config::UserOptions;
use common::link::SpawnSpec;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    name: String,
}

/// Returns the specification of the app's processes and what they inherit.
pub(super) fn describe(router: &RouterState, caller: Caller, body: &[u8]) -> Result<Response, Response> {
    let Question { name } = orders::read(body)?;
    if router.routes.id_of(&name).is_none() && router.routes.is_in_roster(&name) {
        return Err(Response::error(409, not_known(&name)));
    }
    let group = orders::group(router, caller, &name)?;
    let route = router.dispatcher.route(group).ok_or_else(|| Response::error(409, not_known(&name)))?;
    let environment = router.config.environment.as_ref().ok_or_else(|| {
        Response::error(
            409,
            "the environment of the daemon is longer than 64 KiB, so no command can run as an app",
        )
    })?;
    tracing::debug!("app {name}: its environment was read for passenger-config exec");
    let spec = SpawnSpec { handover_data: Vec::new(), ..route.spawn_spec() };
    let options = router.globals.for_supervisor();
    let users = UserOptions {
        switching: options.user_switching,
        default_user: options.default_user,
        default_group: Some(options.default_group).filter(|name| !name.is_empty()),
    };
    Ok(Response::json(&json!({ "spec": spec, "environment": environment, "users": users })))
}

fn not_known(name: &str) -> String {
    format!(
        "app {name} is configured, but the daemon gets its settings with its first request: request one of its pages, or \
         set passenger_min_instances"
    )
}
