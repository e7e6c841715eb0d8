//! `passenger-config pause-app`, `maintenance-app`, `resume-app` and `forget-app`: change the mode of the chosen apps.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::chosen_apps::ChosenApps;
use super::client::RequestError;

/// Shows the visitors of apps a maintenance page.
#[derive(Debug, Args)]
pub(crate) struct MaintenanceApp {
    #[command(flatten)]
    apps: ChosenApps,
    /// HTML file of at most 64 KiB to show; it is read when this command runs [default: a built-in page]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Seconds after which browsers and search engines should retry; 0 to send no Retry-After header [default: 0]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    retry_after: u32,
}

impl MaintenanceApp {
    pub(super) fn run(&self) -> Result<(), String> {
        let page = self.page.as_ref().map(|page| {
            std::fs::read_to_string(page).map_err(|err| format!("cannot read {}: {err}", page.display()))
        });
        let page = page.transpose()?.unwrap_or_default();
        let order = json!({ "mode": "maintenance", "page": page, "retry_after": self.retry_after });
        order_each(&self.apps, "/pool/set_mode.json", order, "Under maintenance:")
    }
}

pub(super) fn pause(apps: &ChosenApps) -> Result<(), String> {
    order_each(apps, "/pool/set_mode.json", json!({ "mode": "paused" }), "Paused")
}

pub(super) fn resume(apps: &ChosenApps) -> Result<(), String> {
    order_each(apps, "/pool/set_mode.json", json!({ "mode": "open" }), "Resumed")
}

pub(super) fn forget(apps: &ChosenApps) -> Result<(), String> {
    order_each(apps, "/pool/forget_app.json", json!({}), "Forgotten")
}

/// Sends the order for each app, and reports each that was carried out.
fn order_each(apps: &ChosenApps, path: &str, mut order: Value, done: &str) -> Result<(), String> {
    let Some((client, names)) = apps.find_or_named()? else { return Ok(()) };
    for name in names {
        order["name"] = json!(name);
        match client.post(path, &order) {
            Ok(_) => println!("{done} {name}"),
            Err(err @ RequestError::Rejected(404, _)) if apps.may_be_missing() => eprintln!("{name}: {err}"),
            Err(err) => return Err(format!("{name}: {err}")),
        }
    }
    Ok(())
}
