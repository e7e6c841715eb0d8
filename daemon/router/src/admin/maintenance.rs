//! What an administrator says of an app as a whole: its requests wait, it is being worked on, it is to be forgotten.

use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::http::Answer;
use super::orders::{group, read};
use crate::state::Router;
use common::link::{MAX_PAGE, Maintenance, Standing};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingOrder {
    name: String,
    /// `open`, `paused` or `maintenance`.
    standing: String,
    /// HTML for visitors during maintenance.
    #[serde(default)]
    page: String,
    /// Seconds.
    #[serde(default)]
    retry_after: u32,
}

pub(super) fn stand(router: &Router, caller: Caller, body: &[u8]) -> Answer {
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
    let standing = match order.standing.as_str() {
        Standing::OPEN => Standing::Open,
        Standing::PAUSED => Standing::Paused,
        Standing::MAINTENANCE => {
            Standing::Maintenance(Maintenance { page: order.page, retry_after: order.retry_after })
        }
        _ => return Answer::error(422, "standing must be \"open\", \"paused\" or \"maintenance\""),
    };
    router.standings.set(&order.name, standing);
    router.standings.put_to_work(&order.name, &router.routes, &router.dispatcher);
    Answer::json(200, &json!({ "standing": router.standings.name_of(&order.name) }))
}

/// An app may stand in any way before its first request, as far as nginx's configuration holds it.
fn may_stand(router: &Router, caller: Caller, name: &str) -> Result<(), Answer> {
    if caller == Caller::Administrator && router.routes.is_announced(name) {
        return Ok(());
    }
    group(router, caller, name).map(drop)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetOrder {
    name: String,
}

pub(super) fn forget(router: &Router, caller: Caller, body: &[u8]) -> Answer {
    let order: ForgetOrder = match read(body) {
        Ok(order) => order,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = group(router, caller, &order.name) {
        return refusal;
    }
    router.routes.dismiss(&order.name, &router.dispatcher);
    if router.standings.name_of(&order.name) != Standing::OPEN {
        router.standings.set(&order.name, Standing::Open);
    }
    Answer::json(200, &json!({ "forgotten": true }))
}
