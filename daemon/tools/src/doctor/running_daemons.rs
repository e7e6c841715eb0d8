//! State of running daemons about an app: its settings, user options and environment variables. The daemons are queried
//! only, not changed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use module_core::app_kind::AppType;
use protocol::request::AppKind;
use protocol::settings::{Settings, Value};
use serde_json::Value as Json;

use crate::{Client, instances, list, pool};
use common::config::UserOptions;

/// A running daemon.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) pid: u32,
    pub(super) users: UserOptions,
    /// Its environment variables, if the caller may read them.
    pub(super) variables: Option<Vec<(OsString, OsString)>>,
    /// The defaults of apps where nginx sets nothing.
    pub(super) defaults: Settings,
    /// The app as this daemon serves it, if it does.
    pub(super) app: Option<KnownApp>,
}

/// An app as a daemon serves it.
#[derive(Debug, Clone)]
pub(super) struct KnownApp {
    pub(super) group: String,
    pub(super) kind: AppKind,
    pub(super) start_command: String,
    pub(super) settings: Settings,
}

/// Variables that concern one daemon only. With them, another daemon would notify its service manager.
const OWN: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "PASSENGER_INSTANCE_REGISTRY_DIR",
];

impl Serving {
    /// Returns the daemon that serves the app in `root`, in this environment if given; otherwise any running one.
    pub(super) fn find(root: &Path, app_env: Option<&str>) -> Option<Self> {
        let mut all: Vec<_> =
            instances().iter().filter_map(|found| Self::ask(&Client::new(found), root, app_env)).collect();
        let at = all.iter().position(|serving| serving.app.is_some()).unwrap_or(0);
        (at < all.len()).then(|| all.swap_remove(at))
    }

    fn ask(client: &Client, root: &Path, app_env: Option<&str>) -> Option<Self> {
        let pool = pool(client).ok()?;
        let pid = client.properties.pid;
        Some(Self {
            pid,
            users: users(&pool),
            variables: variables(pid),
            defaults: settings(&pool, "app_defaults"),
            app: known_app(&pool, root, app_env),
        })
    }
}

fn users(pool: &Json) -> UserOptions {
    let option = |name: &str| list(pool, "options").iter().find(|option| option["name"] == name);
    let text =
        |name: &str| option(name)?["value"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    UserOptions {
        switching: option("user_switching").is_none_or(|option| option["value"] != Json::Bool(false)),
        default_user: text("default_user").unwrap_or_else(|| "nobody".to_owned()),
        default_group: text("default_group"),
    }
}

fn known_app(pool: &Json, root: &Path, app_env: Option<&str>) -> Option<KnownApp> {
    let group = list(pool, "groups").iter().find(|group| {
        let here = group["app_root"].as_str().is_some_and(|known| same_place(Path::new(known), root));
        here && app_env.is_none_or(|wanted| group["environment"] == wanted)
    })?;
    let text = |name: &str| group[name].as_str().unwrap_or_default().to_owned();
    let kind = kind(&text("app_type"))?;
    let settings = settings(group, "settings");
    Some(KnownApp { group: text("name"), kind, start_command: text("start_command"), settings })
}

/// Parses a list of names and values.
fn settings(json: &Json, key: &str) -> Settings {
    let mut settings = Settings::new();
    for setting in list(json, key) {
        if let (Some(name), Some(value)) = (setting["name"].as_str(), value(&setting["value"])) {
            settings.set(name, value);
        }
    }
    settings
}

/// Compares paths; a deployment's `current` may be a link that nginx follows or not.
fn same_place(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Returns the type of this name, as tools show it.
pub(super) fn kind(name: &str) -> Option<AppKind> {
    match AppType::parse(name) {
        AppType::Known(kind) => Some(kind),
        AppType::Unknown => (name == "generic").then_some(AppKind::Generic),
    }
}

/// Returns a setting's value as nginx sent it.
fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => Value::Number(number.as_i64()?),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(all) if all.iter().all(Json::is_array) => {
            let pair = |pair: &Json| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
            Value::Map(all.iter().map(pair).collect::<Option<_>>()?)
        }
        Json::Array(all) => {
            Value::List(all.iter().map(|each| each.as_str().map(str::to_owned)).collect::<Option<_>>()?)
        }
        Json::Null | Json::Object(_) => return None,
    })
}

fn variables(pid: u32) -> Option<Vec<(OsString, OsString)>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&pair[..at]).to_owned(), OsStr::from_bytes(&pair[at + 1..]).to_owned()))
    });
    Some(without_own(pairs))
}

/// Removes the variables that concern one daemon only.
pub(super) fn without_own(pairs: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    pairs.filter(|(name, _)| !OWN.iter().any(|own| name == own)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_come_back_as_nginx_had_sent_them() {
        let pool = json!({ "groups": [{
            "name": "shop", "app_root": "/srv/shop", "app_type": "nodejs", "environment": "staging",
            "start_command": "", "settings": [
                { "name": "min_instances", "value": 3 },
                { "name": "sticky_sessions", "value": true },
                { "name": "env_var", "value": [["A", "1"], ["B", "2"]] },
                { "name": "nodejs", "value": "/opt/node" },
            ],
        }] });
        let found = |root: &str, env| known_app(&pool, Path::new(root), env);
        let app = found("/srv/shop", None).unwrap();
        assert_eq!((app.group.as_str(), app.kind), ("shop", AppKind::Node));
        let map = Value::Map(vec![("A".into(), "1".into()), ("B".into(), "2".into())]);
        assert_eq!(app.settings.get("env_var"), Some(&map));
        assert_eq!(app.settings.get("min_instances"), Some(&Value::Number(3)));
        assert_eq!(app.settings.get("sticky_sessions"), Some(&Value::Flag(true)));
        assert!(
            found("/srv/shop", Some("staging")).is_some() && found("/srv/shop", Some("production")).is_none()
        );
        assert!(found("/srv/shop/sub", None).is_none());
    }

    #[test]
    fn a_daemon_that_tells_nothing_has_the_usual_users() {
        let usual = UserOptions { switching: true, default_user: "nobody".into(), default_group: None };
        assert_eq!(users(&json!({ "options": [] })), usual);
        let options = json!({ "options": [
            { "name": "user_switching", "value": false }, { "name": "default_user", "value": "www" },
            { "name": "default_group", "value": "" },
        ] });
        assert_eq!(users(&options), UserOptions { switching: false, default_user: "www".into(), ..usual });
    }
}
