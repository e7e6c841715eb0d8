//! Options and settings as JSON, with the secrets hidden from everybody but root and the daemon's user.

use protocol::settings::{Settings, Value};
use serde::Serialize;
use serde_json::Value as Json;

use super::caller::Caller;
use crate::options::Source;
use common::secrets;

/// One of the daemon's options.
#[derive(Debug, Serialize)]
pub(super) struct OptionView {
    pub(super) name: String,
    pub(super) value: serde_json::Value,
    pub(super) source: Source,
}

/// One setting of nginx's configuration.
#[derive(Debug, Serialize)]
pub(super) struct SettingView {
    pub(super) name: String,
    pub(super) value: serde_json::Value,
}

/// Whether the caller may see secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Shown,
    Hidden,
}

impl Secrets {
    pub(super) fn of(caller: Caller) -> Self {
        if caller == Caller::Administrator { Self::Shown } else { Self::Hidden }
    }

    pub(super) fn option(self, name: String, value: &Value, source: Source) -> OptionView {
        OptionView { name, value: self.json(value), source }
    }

    pub(super) fn settings(self, settings: &Settings) -> Vec<SettingView> {
        let views = settings.iter();
        views.map(|(name, value)| SettingView { name: name.to_owned(), value: self.json(value) }).collect()
    }

    /// A text that is a secret only if it looks like one, whatever its name is: a path, a command.
    pub(super) fn text(self, text: &str) -> String {
        self.variable("", text)
    }

    fn variable(self, name: &str, value: &str) -> String {
        match self {
            Self::Shown => value.to_owned(),
            Self::Hidden => secrets::shown(name, value),
        }
    }

    fn json(self, value: &Value) -> Json {
        match value {
            Value::Flag(flag) => (*flag).into(),
            Value::Number(number) => (*number).into(),
            Value::Text(text) => self.text(text).into(),
            Value::List(all) => all.iter().map(|text| self.text(text)).collect(),
            Value::Map(all) => {
                all.iter().map(|(name, value)| vec![name.clone(), self.variable(name, value)]).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(caller: Caller) -> Json {
        let pairs =
            [("SECRET_KEY_BASE", "top"), ("DATABASE_URL", "pg://me:pw@db/x"), ("GIT_COMPASS", "north")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = Settings::new();
        settings.set("env_var", Value::Map(pairs.to_vec()));
        settings.set("sticky_sessions_cookie_name", Value::Text("_route".to_owned()));
        settings.set("app_start_command", Value::Text("serve --password=top".to_owned()));
        let views = Secrets::of(caller).settings(&settings);
        views.into_iter().map(|view| (view.name, view.value)).collect()
    }

    #[test]
    fn only_secrets_are_hidden_and_only_from_others() {
        let root = shown(Caller::Administrator);
        assert_eq!(root["env_var"][0], json!(["SECRET_KEY_BASE", "top"]));
        assert_eq!(root["app_start_command"], "serve --password=top");
        for caller in [Caller::Reader(7), Caller::User(7), Caller::of_nginx()] {
            let others = shown(caller);
            let expected = json!([
                ["SECRET_KEY_BASE", "[hidden]"],
                ["DATABASE_URL", "pg://[hidden]@db/x"],
                ["GIT_COMPASS", "north"],
            ]);
            assert_eq!(others["env_var"], expected);
            assert_eq!(others["sticky_sessions_cookie_name"], "_route");
            assert_eq!(others["app_start_command"], "[hidden]");
        }
    }
}
