//! The settings of the app to test: those of a running daemon, in order of increasing precedence, then the flags.

use protocol::settings::{Settings, Value};

use super::arguments::Doctor;

/// Returns all settings, as nginx would send them, or a message about an invalid flag.
pub(super) fn settings<'s>(
    doctor: &Doctor,
    configured: impl Iterator<Item = &'s Settings>,
) -> Result<Settings, String> {
    let mut settings = Settings::new();
    // Its output is needed here, not in its own log.
    for (name, value) in configured.flat_map(Settings::iter).filter(|(name, _)| *name != "app_log_file") {
        settings.set(name, value.clone());
    }
    for (name, value) in [
        ("app_env", &doctor.environment),
        ("user", &doctor.user),
        ("group", &doctor.group),
        ("ruby", &doctor.ruby),
        ("python", &doctor.python),
        ("nodejs", &doctor.nodejs),
        ("startup_file", &doctor.startup_file),
    ] {
        if let Some(value) = value {
            settings.set(name, Value::Text(value.clone()));
        }
    }
    if let Some(seconds) = doctor.timeout {
        settings.set("start_timeout", Value::Number(i64::try_from(seconds).unwrap_or(i64::MAX)));
    }
    let mut variables = match settings.get("env_var") {
        Some(Value::Map(pairs)) => pairs.clone(),
        _ => Vec::new(),
    };
    for given in &doctor.env {
        let (name, value) = given
            .split_once('=')
            .ok_or_else(|| format!("invalid value \"{given}\" in \"--env\": must be NAME=VALUE"))?;
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value.to_owned()));
    }
    if !variables.is_empty() {
        settings.set("env_var", Value::Map(variables));
    }
    Ok(settings)
}

/// Returns a text setting, or `default` when it is not set.
pub(super) fn text<'s>(settings: &'s Settings, name: &str, default: &'s str) -> &'s str {
    match settings.get(name) {
        Some(Value::Text(text)) => text,
        _ => default,
    }
}
