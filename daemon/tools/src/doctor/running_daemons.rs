//! State of running daemons about an app: its settings, user options and environment variables. The daemons are queried
//! only, not changed.

use std::ffi::OsString;
use std::path::Path;

use module_core::app_kind::AppType;
use protocol::request::AppKind;
use protocol::settings::{Settings, Value};
use serde_json::Value as Json;

use crate::client::Client;
use crate::{instances, list};
use common::config::UserOptions;
use common::secrets::HIDDEN;

/// A running daemon.
#[derive(Debug)]
pub(super) struct RunningDaemon {
    pub(super) pid: u32,
    pub(super) users: UserOptions,
    /// Its environment variables, if the caller may read them.
    pub(super) variables: Option<Vec<(OsString, OsString)>>,
    /// The defaults of settings that nginx.conf does not contain.
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
const NOT_INHERITED: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "PASSENGER_INSTANCE_REGISTRY_DIR",
];

impl RunningDaemon {
    /// Returns the daemon that serves the app in `root`, in this environment if given; otherwise any running one.
    pub(super) fn find(root: &Path, app_env: Option<&str>) -> Option<Self> {
        let query = |found: &_| Self::query(&Client::new(found), root, app_env);
        let mut all: Vec<_> = instances().iter().filter_map(query).collect();
        let at = all.iter().position(|daemon| daemon.app.is_some()).unwrap_or(0);
        (at < all.len()).then(|| all.swap_remove(at))
    }

    fn query(client: &Client, root: &Path, app_env: Option<&str>) -> Option<Self> {
        let pool = client.get_json("/pool.json").ok()?;
        let pid = client.found.properties.pid;
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
        default_user: text("default_user").unwrap_or(default_users().default_user),
        default_group: text("default_group"),
    }
}

/// Returns the user options of a daemon without configuration.
pub(super) fn default_users() -> UserOptions {
    UserOptions { switching: true, default_user: "nobody".to_owned(), default_group: None }
}

fn known_app(pool: &Json, root: &Path, app_env: Option<&str>) -> Option<KnownApp> {
    let group = list(pool, "groups").iter().find(|group| {
        let here = group["app_root"].as_str().is_some_and(|known| is_same_directory(Path::new(known), root));
        here && app_env.is_none_or(|wanted| group["environment"] == wanted)
    })?;
    let text = |name: &str| group[name].as_str().unwrap_or_default().to_owned();
    let kind = kind(&text("app_type"))?;
    let mut settings = settings(group, "settings");
    drop_hidden(&mut settings);
    let start_command = text("start_command");
    // A command that the daemon does not show cannot be run.
    let is_shown = !start_command.contains(HIDDEN);
    is_shown.then(|| KnownApp { group: text("name"), kind, start_command, settings })
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

/// Removes the variables whose values this caller may not see, and says so.
fn drop_hidden(settings: &mut Settings) {
    let Some(Value::Map(pairs)) = settings.get("env_var") else { return };
    let is_hidden = |(_, value): &&(String, String)| value.contains(HIDDEN);
    let hidden: Vec<_> = pairs.iter().filter(is_hidden).map(|(name, _)| name.clone()).collect();
    if hidden.is_empty() {
        return;
    }
    let seen = pairs.iter().filter(|pair| !is_hidden(pair)).cloned().collect();
    settings.set("env_var", Value::Map(seen));
    eprintln!(
        "These variables of nginx.conf are secret and not set here: {}. Set them with --env, or run the command as root.",
        hidden.join(", ")
    );
}

/// Compares paths; a deployment's `current` may be a link that nginx follows or not.
fn is_same_directory(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Returns the type of this name, as tools show it.
fn kind(name: &str) -> Option<AppKind> {
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
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(inheritable(process.environ().ok()?))
}

/// Removes the variables that concern one daemon only.
pub(super) fn inheritable(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    variables.into_iter().filter(|(name, _)| !NOT_INHERITED.iter().any(|own| name == own)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_decoded_as_nginx_sent_them() {
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
    fn a_hidden_value_is_not_used() {
        let pool = json!({ "groups": [{
            "name": "shop", "app_root": "/srv/shop", "app_type": "wsgi", "environment": "production",
            "settings": [{ "name": "env_var", "value": [["A", "1"], ["DB_PASS", "[hidden]"], ["DB", "x://[hidden]@y"]] }],
        }] });
        let app = known_app(&pool, Path::new("/srv/shop"), None).unwrap();
        let expected = Value::Map(vec![("A".into(), "1".into())]);
        assert_eq!(app.settings.get("env_var"), Some(&expected));
    }

    #[test]
    fn a_daemon_without_options_has_the_default_users() {
        assert_eq!(users(&json!({ "options": [] })), default_users());
        let options = json!({ "options": [
            { "name": "user_switching", "value": false }, { "name": "default_user", "value": "www" },
            { "name": "default_group", "value": "" },
        ] });
        assert_eq!(
            users(&options),
            UserOptions { switching: false, default_user: "www".into(), ..default_users() }
        );
    }
}
