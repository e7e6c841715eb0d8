//! `passenger-config pause-app`, `maintenance-app`, `resume-app` and `forget-app`: change the mode of the chosen apps.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::chosen_apps::ChosenApps;
use super::client::RequestError;

/// Makes the requests of apps wait.
#[derive(Debug, Args)]
pub(crate) struct PauseApp {
    #[command(flatten)]
    apps: ChosenApps,
}

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

/// Serves the requests of apps again.
#[derive(Debug, Args)]
pub(crate) struct ResumeApp {
    #[command(flatten)]
    apps: ChosenApps,
}

/// Ends apps and removes all data about them.
#[derive(Debug, Args)]
pub(crate) struct ForgetApp {
    #[command(flatten)]
    apps: ChosenApps,
}

impl PauseApp {
    pub(super) fn run(&self) -> Result<(), String> {
        set_mode(&self.apps, json!({ "mode": "paused" }), "Paused")
    }
}

impl MaintenanceApp {
    pub(super) fn run(&self) -> Result<(), String> {
        let page = self.page.as_ref().map(|page| {
            std::fs::read_to_string(page).map_err(|err| format!("cannot read {}: {err}", page.display()))
        });
        let page = page.transpose()?.unwrap_or_default();
        let order = json!({ "mode": "maintenance", "page": page, "retry_after": self.retry_after });
        set_mode(&self.apps, order, "Under maintenance:")
    }
}

impl ResumeApp {
    pub(super) fn run(&self) -> Result<(), String> {
        set_mode(&self.apps, json!({ "mode": "open" }), "Resumed")
    }
}

impl ForgetApp {
    pub(super) fn run(&self) -> Result<(), String> {
        order_each(&self.apps, "/pool/forget_app.json", json!({}), "Forgotten")
    }
}

fn set_mode(apps: &ChosenApps, order: Value, done: &str) -> Result<(), String> {
    order_each(apps, "/pool/set_mode.json", order, done)
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
