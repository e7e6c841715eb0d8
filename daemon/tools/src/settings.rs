//! `passenger-config settings`: effective values of the daemon's options and of each app's settings, with their source.

use clap::Args;
use serde_json::{Value, json};

use super::{choose, list, pool};

/// Shows what is in effect.
#[derive(Debug, Args)]
pub struct Settings {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl Settings {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        let client = choose(self.instance.as_deref()).map_err(|err| err.to_string())?;
        let pool = pool(&client)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&as_json(&pool)).map_err(|err| err.to_string())?);
        } else {
            show(&pool);
        }
        Ok(())
    }
}

fn as_json(pool: &Value) -> Value {
    json!({
        "options": pool["options"], "app_defaults": pool["app_defaults"], "ignored_directives": pool["ignored_directives"],
        "groups": list(pool, "groups").iter().map(|group| json!({
            "name": group["name"], "settings": group["settings"],
        })).collect::<Vec<_>>(),
    })
}

fn show(pool: &Value) {
    println!("Daemon:");
    for option in list(pool, "options") {
        show_setting(option, option["source"].as_str().unwrap_or_default());
    }
    for setting in list(pool, "ignored_directives") {
        show_setting(setting, "nginx, without effect");
    }
    if !list(pool, "app_defaults").is_empty() {
        println!("\nApps, where nginx says nothing:");
    }
    for default in list(pool, "app_defaults") {
        show_setting(default, default["source"].as_str().unwrap_or_default());
    }
    for group in list(pool, "groups") {
        println!("\n{}:", group["name"].as_str().unwrap_or_default());
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
    println!("  {:<32}  {value:<20}  ({source})", setting["name"].as_str().unwrap_or_default());
}
