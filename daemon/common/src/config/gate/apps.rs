//! Entries of `[[apps]]`: which application serves which hosts and paths, with its settings from the table of settings.

use protocol::app_kind::AppKind;
use protocol::app_settings::{PROCESS_SETTINGS, ROUTER_SETTINGS};
use protocol::setting::Setting;
use protocol::setting_type::SettingType;
use protocol::settings::Value;
use toml::de::DeValue;

use super::{GateApp, read_list};
use crate::config::error::{ConfigError, ConfigErrors};
use crate::config::file::flag_text;
use crate::config::similar::suggestion;
use crate::config::value_type::{TomlType, parse};

/// The name of the tables.
pub(in crate::config) const APPS: &str = "apps";

/// The keys that are not settings.
const PLACE_KEYS: [&str; 8] =
    ["hosts", "path", "root", "public", "app_group_name", "app_type", "app_start_command", "pre_start"];

fn settings() -> impl Iterator<Item = &'static Setting> {
    PROCESS_SETTINGS.iter().chain(ROUTER_SETTINGS)
}

/// Returns every key of an entry.
pub fn app_keys() -> impl Iterator<Item = &'static str> {
    PLACE_KEYS.into_iter().chain(settings().map(|setting| setting.name))
}

/// Parses the text of a setting of applications, as given on a command line.
///
/// # Errors
///
/// What the value must be.
pub fn parse_setting(name: &str, text: &str) -> Result<Value, String> {
    let setting = settings().find(|setting| setting.name == name);
    setting.map_or_else(|| Err("is not a setting of applications".to_owned()), |setting| parse(setting, text))
}

/// Reads one entry; `None` after an error.
pub(in crate::config) fn read_app(
    value: &DeValue<'_>,
    place: &str,
    line: &impl Fn(usize) -> String,
    errors: &mut ConfigErrors,
) -> Option<GateApp> {
    let DeValue::Table(table) = value else {
        errors.push(ConfigError::new(APPS, "must be tables: write [[apps]] on a separate line").at(place));
        return None;
    };
    let mut app = GateApp::default();
    let mut is_valid = true;
    for (key, value) in table {
        if let Err(error) = read_key(&mut app, key.get_ref(), value.get_ref()) {
            errors.push(error.at(line(key.span().start)));
            is_valid = false;
        }
    }
    if app.root.as_os_str().is_empty() && !table.contains_key("root") {
        errors
            .push(ConfigError::new("root", "is required in [[apps]]: the application's directory").at(place));
        is_valid = false;
    }
    if app.public.as_os_str().is_empty() {
        app.public = app.root.join("public");
    }
    is_valid.then_some(app)
}

fn read_key(app: &mut GateApp, name: &str, value: &DeValue<'_>) -> Result<(), ConfigError> {
    match name {
        "hosts" => app.hosts = read_list(name, value, host)?,
        "path" => app.base_uri = base_uri(text(name, value)?)?,
        "root" => app.root = path(name, value)?.into(),
        "public" => app.public = path(name, value)?.into(),
        "app_group_name" => app.group = Some(not_empty(name, value)?),
        "app_start_command" => app.start_command = Some(not_empty(name, value)?),
        "app_type" => app.app_type = Some(app_type(text(name, value)?)?),
        "pre_start" => match value {
            DeValue::Boolean(on) => app.pre_start = *on,
            _ => return Err(ConfigError::new("pre_start", "must be true or false, without quotes")),
        },
        _ => {
            let setting = settings().find(|setting| setting.name == name).ok_or_else(|| unknown(name))?;
            app.settings.set(name, setting_value(setting, value)?);
            if name == "min_instances" {
                app.pre_start |= matches!(app.settings.get(name), Some(Value::Number(1..)));
            }
        }
    }
    Ok(())
}

fn unknown(name: &str) -> ConfigError {
    let hint = suggestion(name, app_keys(), "the options are");
    ConfigError::new("", format!("unknown option \"{name}\" in [[apps]]{hint}"))
}

fn setting_value(setting: &'static Setting, value: &DeValue<'_>) -> Result<Value, ConfigError> {
    match setting.of_type {
        SettingType::Map => map(setting.name, value),
        SettingType::List => read_list(setting.name, value, |text| Ok(text.to_owned())).map(Value::List),
        of_type => {
            let text = flag_text(TomlType::of(of_type), value)
                .map_err(|must| ConfigError::new(setting.name, must))?;
            parse(setting, &text).map_err(|must| ConfigError::value(setting.name, &text, must))
        }
    }
}

fn map(name: &'static str, value: &DeValue<'_>) -> Result<Value, ConfigError> {
    let must = || ConfigError::new(name, "must be a table of texts: { NAME = \"value\" }");
    let pairs = value.as_table().ok_or_else(must)?.iter();
    let pairs = pairs.map(|(name, value)| {
        let value = value.get_ref().as_str().ok_or_else(must)?;
        Ok((name.get_ref().to_string(), value.to_owned()))
    });
    pairs.collect::<Result<_, _>>().map(Value::Map)
}

fn text<'v>(name: &str, value: &'v DeValue<'_>) -> Result<&'v str, ConfigError> {
    value.as_str().ok_or_else(|| ConfigError::new(name.to_owned(), "must be text in quotes"))
}

fn not_empty(name: &str, value: &DeValue<'_>) -> Result<String, ConfigError> {
    match text(name, value)? {
        "" => Err(ConfigError::value(name.to_owned(), "", "must not be empty")),
        text => Ok(text.to_owned()),
    }
}

fn path(name: &str, value: &DeValue<'_>) -> Result<String, ConfigError> {
    let text = value.as_str().ok_or_else(|| ConfigError::new(name.to_owned(), "must be a path in quotes"))?;
    if !text.starts_with('/') || text.contains('\0') {
        return Err(ConfigError::value(name.to_owned(), text, "must be an absolute path"));
    }
    let trimmed = text.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
}

fn app_type(text: &str) -> Result<String, ConfigError> {
    if AppKind::of_type(text).is_some() {
        return Ok(text.to_owned());
    }
    let types: Vec<_> = AppKind::types().collect();
    Err(ConfigError::value("app_type", text, format!("must be one of \"{}\"", types.join("\", \""))))
}

fn base_uri(text: &str) -> Result<String, ConfigError> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    let trimmed = text.trim_end_matches('/');
    let is_path = text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte))
        && (trimmed.is_empty() || trimmed[1..].split('/').all(is_plain));
    if is_path {
        return Ok(trimmed.to_owned());
    }
    Err(ConfigError::value("path", text, "must be the path of a URI, such as \"/\" or \"/blog\""))
}

/// Checks a name of a host, with `*` as its first or last label.
fn host(text: &str) -> Result<String, &'static str> {
    let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let name = if name.len() == text.len() { name.strip_suffix(".*").unwrap_or(name) } else { name };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte) || byte >= 0x80;
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err("must be the name of a host, such as example.org, *.example.org or example.*");
    }
    Ok(text.to_ascii_lowercase())
}
