//! Endpoints that set the mode of an app (open, paused, maintenance) and forget an app.

use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::http::Answer;
use super::orders::{group, read};
use crate::state::RouterState;
use common::link::{AppMode, MAX_PAGE, Maintenance};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingOrder {
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

pub(super) fn stand(router: &RouterState, caller: Caller, body: &[u8]) -> Answer {
    let order: StandingOrder = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = may_stand(router, caller, &order.name) {
        return refusal;
    }
    if order.page.len() > MAX_PAGE {
        return Answer::error(413, &format!("the page is longer than {} KiB", MAX_PAGE / 1024));
    }
    let mode = match order.mode.as_str() {
        AppMode::OPEN => AppMode::Open,
        AppMode::PAUSED => AppMode::Paused,
        AppMode::MAINTENANCE => {
            AppMode::Maintenance(Maintenance { page: order.page, retry_after: order.retry_after })
        }
        _ => return Answer::error(422, "mode must be \"open\", \"paused\" or \"maintenance\""),
    };
    router.app_modes.set(&order.name, mode);
    router.app_modes.apply_to_waiting(&order.name, &router.routes, &router.dispatcher);
    Answer::json(200, &json!({ "mode": router.app_modes.name_of(&order.name) }))
}

/// An administrator may set the mode of an app before its first request if nginx's configuration contains it.
fn may_stand(router: &RouterState, caller: Caller, name: &str) -> Result<(), Answer> {
    if caller == Caller::Administrator && router.routes.is_in_roster(name) {
        return Ok(());
    }
    group(router, caller, name).map(drop)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetOrder {
    name: String,
}

pub(super) fn forget(router: &RouterState, caller: Caller, body: &[u8]) -> Answer {
    let order: ForgetOrder = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = group(router, caller, &order.name) {
        return refusal;
    }
    router.routes.remove_app(&order.name, &router.dispatcher);
    if router.app_modes.name_of(&order.name) != AppMode::OPEN {
        router.app_modes.set(&order.name, AppMode::Open);
    }
    Answer::json(200, &json!({ "forgotten": true }))
}
