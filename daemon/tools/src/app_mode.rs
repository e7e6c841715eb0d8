//! `passenger-config pause-app`, `maintenance-app`, `resume-app` and `forget-app`: change the mode of the chosen apps.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{ChosenApps, Client, expect_success};

/// Lets the requests of apps wait.
#[derive(Debug, Args)]
pub struct PauseApp {
    #[command(flatten)]
    apps: ChosenApps,
}

/// Shows the visitors of apps a page instead.
#[derive(Debug, Args)]
pub struct MaintenanceApp {
    #[command(flatten)]
    apps: ChosenApps,
    /// An HTML file to show, of at most 64 KiB; it is read now [default: a page of the daemon's]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Tells browsers and search engines in how many seconds to come back [default: nothing]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    retry_after: u32,
}

/// Serves the requests of apps again.
#[derive(Debug, Args)]
pub struct ResumeApp {
    #[command(flatten)]
    apps: ChosenApps,
}

/// Ends apps and what is known of them.
#[derive(Debug, Args)]
pub struct ForgetApp {
    #[command(flatten)]
    apps: ChosenApps,
}

impl PauseApp {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        set_mode(&self.apps, &json!({ "mode": "paused" }), "Paused")
    }
}

impl MaintenanceApp {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator; also when the page cannot be read.
    pub fn run(&self) -> Result<(), String> {
        let page = self.page.as_deref().map(read).transpose()?.unwrap_or_default();
        let order = json!({ "mode": "maintenance", "page": page, "retry_after": self.retry_after });
        set_mode(&self.apps, &order, "Under maintenance:")
    }
}

impl ResumeApp {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        set_mode(&self.apps, &json!({ "mode": "open" }), "Resumed")
    }
}

impl ForgetApp {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        order_each(&self.apps, "/pool/forget_app.json", &json!({}), "Forgotten")
    }
}

fn set_mode(apps: &ChosenApps, order: &Value, done: &str) -> Result<(), String> {
    order_each(apps, "/pool/set_mode.json", order, done)
}

/// Sends the order for each app, and reports each that was carried out.
fn order_each(apps: &ChosenApps, path: &str, order: &Value, done: &str) -> Result<(), String> {
    let Some((client, names)) = apps.find_or_named()? else { return Ok(()) };
    for name in names {
        if give(&client, path, order, &name, apps.may_be_missing())? {
            println!("{done} {name}");
        }
    }
    Ok(())
}

/// Returns false when the app does not exist and that is not an error.
fn give(
    client: &Client,
    path: &str,
    order: &Value,
    name: &str,
    may_be_missing: bool,
) -> Result<bool, String> {
    let mut order = order.clone();
    order["name"] = json!(name);
    let reply = client.post(path, &order).map_err(|err| err.to_string())?;
    match expect_success(&reply) {
        Ok(()) => Ok(true),
        Err(why) if reply.status == 404 && may_be_missing => {
            eprintln!("{name}: {why}");
            Ok(false)
        }
        Err(why) => Err(format!("{name}: {why}")),
    }
}

fn read(page: &Path) -> Result<String, String> {
    std::fs::read_to_string(page).map_err(|why| format!("{} cannot be read: {why}", page.display()))
}
