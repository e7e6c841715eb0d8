//! `passenger-config settings`: effective values of the daemon's options and of each app's settings, with their source.

use clap::Args;
use serde_json::{Value, json};

use super::instance_arg::InstanceArg;
use super::{list, own_apps_only, text};

/// Shows the effective options and settings.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Print the settings as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

impl Settings {
    pub(super) fn run(&self) -> Result<(), String> {
        let pool = self.instance.client()?.get_json("/pool.json")?;
        if self.json {
            println!("{:#}", to_json(&pool));
        } else {
            show(&pool);
        }
        Ok(())
    }
}

fn to_json(pool: &Value) -> Value {
    json!({
        "scope": pool["scope"], "options": pool["options"], "app_defaults": pool["app_defaults"], "ignored_directives": pool["ignored_directives"],
        "groups": list(pool, "groups").iter().map(|group| json!({
            "name": group["name"], "settings": group["settings"],
        })).collect::<Vec<_>>(),
    })
}

fn show(pool: &Value) {
    if let Some(note) = own_apps_only(pool) {
        println!("Shown: {note}\n");
    }
    println!("Daemon:");
    for option in list(pool, "options") {
        show_setting(option, text(option, "source"));
    }
    for setting in list(pool, "ignored_directives") {
        show_setting(setting, "nginx, ignored");
    }
    if !list(pool, "app_defaults").is_empty() {
        println!("\nDefaults of apps:");
    }
    for default in list(pool, "app_defaults") {
        show_setting(default, text(default, "source"));
    }
    for group in list(pool, "groups") {
        println!("\n{}:", text(group, "name"));
        for setting in list(group, "settings") {
            show_setting(setting, "nginx");
        }
    }
}

fn show_setting(setting: &Value, source: &str) {
    let value = match &setting["value"] {
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    };
    println!("  {:<32}  {value:<20}  ({source})", text(setting, "name"));
}
