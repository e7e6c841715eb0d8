//! The keys of `Passengerfile.json` that `passenger start` uses: those of its flags, and the settings of apps by the names
//! of their directives.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use protocol::setting_table;
use protocol::setting_type::SettingType;
use protocol::settings::{Settings, Value};
use serde_json::Value as Json;

/// Longest file accepted, in bytes, as where nginx reads it.
const MAX_LENGTH: u64 = 512 * 1024;

/// The keys that are not settings of apps.
const OWN_KEYS: [&str; 12] = [
    "address",
    "app_start_command",
    "app_type",
    "daemonize",
    "environment",
    "envvars",
    "ignore",
    "log_file",
    "max_pool_size",
    "pid_file",
    "port",
    "rackup",
];
/// Settings that `passenger start` itself determines.
const FIXED: [&str; 4] = ["app_env", "env_var", "user", "group"];

/// The file's contents.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Passengerfile {
    path: PathBuf,
    own: Vec<(String, Json)>,
    /// The settings of the app.
    pub(super) settings: Settings,
}

impl Passengerfile {
    /// Reads the file of an app; nothing is set when there is none.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let path = root.join("Passengerfile.json");
        let fail = |why: String| format!("cannot read {}: {why}", path.display());
        let mut text = Vec::new();
        match path.metadata() {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(err) => return Err(fail(err.to_string())),
            Ok(found) if !found.is_file() => return Err(fail("not a regular file".into())),
            Ok(_) => File::open(&path)
                .and_then(|file| file.take(MAX_LENGTH + 1).read_to_end(&mut text))
                .map_err(|err| fail(err.to_string()))?,
        };
        if text.len() as u64 > MAX_LENGTH {
            return Err(fail("longer than 512 KiB".into()));
        }
        let json: Json = serde_json::from_slice(&text).map_err(|err| fail(err.to_string()))?;
        Self::parse(path, &json)
    }

    fn parse(path: PathBuf, json: &Json) -> Result<Self, String> {
        let object =
            json.as_object().ok_or_else(|| format!("invalid {}: must be a JSON object", path.display()))?;
        let mut file = Self { path, ..Self::default() };
        for (key, value) in object {
            let setting =
                setting_table::apps().find(|setting| setting.name == key && !FIXED.contains(&setting.name));
            if OWN_KEYS.contains(&key.as_str()) {
                file.own.push((key.clone(), value.clone()));
            } else if let Some(setting) = setting {
                let value = setting_value(setting.of_type, value).map_err(|why| file.invalid(key, &why))?;
                file.settings.set(key, value);
            } else {
                return Err(unknown_key(&file.path, key));
            }
        }
        Ok(file)
    }

    fn own(&self, key: &str) -> Option<&Json> {
        self.own.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    fn invalid(&self, key: &str, why: &str) -> String {
        let value = self.own(key).map_or(String::new(), |value| format!(" {value}"));
        format!("invalid value{value} of \"{key}\" in {}: {why}", self.path.display())
    }

    /// Returns the text of a key.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, String> {
        let text = |value: &Json| value.as_str().map(str::to_owned);
        self.own(key).map(|value| text(value).ok_or_else(|| self.invalid(key, "must be text"))).transpose()
    }

    /// Returns the number of a key, which must be in this range.
    pub(super) fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, String> {
        let Some(value) = self.own(key) else { return Ok(None) };
        match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let why = format!("must be a number from {} to {}", range.start(), range.end());
                Err(self.invalid(key, &why))
            }
        }
    }

    /// Returns the truth value of a key; false without it.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        let Some(value) = self.own(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.invalid(key, "must be true or false"))
    }

    /// Returns the texts of a key with a list.
    pub(super) fn list(&self, key: &str) -> Result<Vec<String>, String> {
        let Some(value) = self.own(key) else { return Ok(Vec::new()) };
        texts(value).ok_or_else(|| self.invalid(key, "must be a list of texts"))
    }

    /// Returns the names and values of a key with an object.
    pub(super) fn map(&self, key: &str) -> Result<Vec<(String, String)>, String> {
        let Some(value) = self.own(key) else { return Ok(Vec::new()) };
        pairs(value).ok_or_else(|| self.invalid(key, "must be an object whose values are texts or numbers"))
    }
}

fn unknown_key(path: &Path, key: &str) -> String {
    let settings = setting_table::apps().map(|setting| setting.name);
    let mut known: Vec<_> = settings.filter(|name| !FIXED.contains(name)).chain(OWN_KEYS).collect();
    known.sort_unstable();
    let hint = match key {
        "ssl" | "ssl_certificate" | "ssl_certificate_key" => {
            "; for TLS put nginx or another web server in front"
        }
        "user" | "group" => "; as root specify --user",
        _ => "",
    };
    format!("unknown key \"{key}\" in {}{hint}; the keys are {}", path.display(), known.join(", "))
}

/// Converts a value of JSON to that of a setting.
fn setting_value(of_type: SettingType, json: &Json) -> Result<Value, String> {
    let invalid = || format!("{json} is not of the right type");
    let value = match (of_type, json) {
        (_, Json::Bool(flag)) => Value::Flag(*flag),
        (_, Json::Number(number)) => Value::Number(number.as_i64().ok_or_else(invalid)?),
        (SettingType::List, _) => Value::List(texts(json).ok_or_else(invalid)?),
        (SettingType::Map, _) => Value::Map(pairs(json).ok_or_else(invalid)?),
        (_, Json::String(text)) => of_type.parse(text)?,
        _ => return Err(invalid()),
    };
    of_type.check(&value).map(|()| value)
}

fn texts(json: &Json) -> Option<Vec<String>> {
    json.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn pairs(json: &Json) -> Option<Vec<(String, String)>> {
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    json.as_object()?.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Passengerfile, String> {
        Passengerfile::parse("/app/Passengerfile.json".into(), &serde_json::from_str(text).unwrap())
    }

    #[test]
    fn flags_and_settings_are_read() {
        let file = parsed(
            r#"{"port": 4000, "daemonize": true, "envvars": {"A": "b", "N": 1}, "min_instances": 2,
                "sticky_sessions": true, "start_timeout": "1m", "ignore": ["*.csv"]}"#,
        )
        .unwrap();
        assert_eq!(file.number("port", 0..=65535), Ok(Some(4000)));
        assert_eq!(file.flag("daemonize"), Ok(true));
        assert_eq!(file.map("envvars").unwrap(), [("A".into(), "b".into()), ("N".into(), "1".into())]);
        assert_eq!(file.list("ignore").unwrap(), ["*.csv"]);
        assert_eq!(file.settings.get("min_instances"), Some(&Value::Number(2)));
        assert_eq!(file.settings.get("sticky_sessions"), Some(&Value::Flag(true)));
        assert_eq!(file.settings.get("start_timeout"), Some(&Value::Number(60)));
    }

    #[test]
    fn rejects_unknown_keys_and_lists_the_known_ones() {
        let err = parsed(r#"{"prot": 4000}"#).unwrap_err();
        assert!(err.starts_with("unknown key \"prot\" in /app/Passengerfile.json; the keys are "), "{err}");
        assert!(err.contains("pid_file, port, ") && err.contains("min_instances"), "{err}");
        let err = parsed(r#"{"ssl": true}"#).unwrap_err();
        assert!(err.contains("for TLS put nginx"), "{err}");
    }

    #[test]
    fn rejects_values_of_another_type() {
        let err = parsed(r#"{"port": 70000}"#).unwrap().number("port", 0..=65535).unwrap_err();
        let expected =
            "invalid value 70000 of \"port\" in /app/Passengerfile.json: must be a number from 0 to 65535";
        assert_eq!(err, expected);
        assert!(parsed(r#"{"address": 1}"#).unwrap().text("address").unwrap_err().contains("must be text"));
        assert!(parsed(r#"{"min_instances": "many"}"#).unwrap_err().contains("must be a number"));
        assert!(parsed("[]").unwrap_err().contains("must be a JSON object"));
    }
}
