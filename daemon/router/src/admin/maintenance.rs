//! Endpoints that set the mode of an app (open, paused, maintenance) and forget an app.

use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::http::Response;
use super::orders::{group, read};
use crate::state::RouterState;
use common::link::{AppMode, MAX_PAGE, Maintenance};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeOrder {
    name: String,
    /// `open`, `paused` or `maintenance`.
    mode: String,
    /// HTML page for visitors during maintenance.
    #[serde(default)]
    page: String,
    /// Seconds.
    #[serde(default)]
    retry_after: u32,
}

pub(super) fn set_mode(router: &RouterState, caller: Caller, body: &[u8]) -> Result<Response, Response> {
    let order: ModeOrder = read(body)?;
    // An administrator may set the mode of an app before its first request if nginx's configuration contains it.
    if caller != Caller::Administrator || !router.routes.is_in_roster(&order.name) {
        group(router, caller, &order.name)?;
    }
    if order.page.len() > MAX_PAGE {
        return Err(Response::error(413, format_args!("the page is longer than {} KiB", MAX_PAGE / 1024)));
    }
    let mode = match order.mode.as_str() {
        AppMode::OPEN => AppMode::Open,
        AppMode::PAUSED => AppMode::Paused,
        AppMode::MAINTENANCE => {
            AppMode::Maintenance(Maintenance { page: order.page, retry_after: order.retry_after })
        }
        _ => return Err(Response::error(422, "mode must be \"open\", \"paused\" or \"maintenance\"")),
    };
    router.app_modes.set(&order.name, mode);
    router.app_modes.apply_to_waiting(&order.name, &router.routes, &router.dispatcher);
    Ok(Response::json(&json!({ "mode": router.app_modes.name_of(&order.name) })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetOrder {
    name: String,
}

pub(super) fn forget(router: &RouterState, caller: Caller, body: &[u8]) -> Result<Response, Response> {
    let order: ForgetOrder = read(body)?;
    group(router, caller, &order.name)?;
    router.routes.remove_app(&order.name, &router.dispatcher);
    if router.app_modes.name_of(&order.name) != AppMode::OPEN {
        router.app_modes.set(&order.name, AppMode::Open);
    }
    Ok(Response::json(&json!({ "forgotten": true })))
}
