//! Kinds of applications: how each is detected and started, and its protocol.

use serde::{Deserialize, Serialize};

use crate::app_settings::RouterSettings;

/// How an application is started and which protocol it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppKind {
    /// Rack, from `config.ru`.
    Ruby,
    /// WSGI or ASGI, from `passenger_wsgi.py`.
    Python,
    /// Node.js, from `app.js`.
    Node,
    /// A Meteor application.
    Meteor,
    /// Anything that listens on `$PORT`.
    Generic,
}

/// The definition of a kind of application.
#[derive(Debug, Clone, Copy)]
pub struct KindDefinition {
    /// The name in logs and JSON.
    pub name: &'static str,
    /// The values of `passenger_app_type`.
    pub types: &'static [&'static str],
    /// The startup file unless `passenger_startup_file` is set; `None` where a command starts the app.
    pub startup_file: Option<&'static str>,
    /// The loader that runs the app; `None` where the app is a separate program, which opens its own port.
    pub loader: Option<Loader>,
    /// The protocol between router and process.
    pub protocol: AppProtocol,
}

/// A loader of a language, which loads an app and serves its requests.
#[derive(Debug, Clone, Copy)]
pub struct Loader {
    /// The loader, relative to the loaders' directory.
    pub file: &'static str,
    /// The preloader, whose forks are processes of the app.
    pub preloader: Option<&'static str>,
    /// Whether processes are forked from the preloader unless `passenger_spawn_method` is set.
    pub is_smart: bool,
    /// The names of the interpreter, unless it is configured; the first one that is found is used.
    pub interpreters: &'static [&'static str],
    /// The name of the setting of the interpreter.
    pub setting: &'static str,
    /// Returns the configured interpreter; empty if there is none.
    pub interpreter: fn(&RouterSettings) -> &str,
}

/// A protocol between router and process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppProtocol {
    /// The session protocol: one request at a time for each thread of the process.
    Session,
    /// HTTP: any number of concurrent requests.
    Http,
}

const RUBY: KindDefinition = KindDefinition {
    name: "ruby",
    types: &["ruby", "rack"],
    startup_file: Some("config.ru"),
    loader: Some(Loader {
        file: "ruby/rack-loader.rb",
        preloader: Some("ruby/preloader.rb"),
        is_smart: true,
        interpreters: &["ruby"],
        setting: "ruby",
        interpreter: |settings| &settings.ruby,
    }),
    protocol: AppProtocol::Session,
};

const PYTHON: KindDefinition = KindDefinition {
    name: "python",
    types: &["python", "wsgi"],
    startup_file: Some("passenger_wsgi.py"),
    loader: Some(Loader {
        file: "python/wsgi-loader.py",
        preloader: Some("python/preloader.py"),
        is_smart: false,
        interpreters: &["python3", "python"],
        setting: "python",
        interpreter: |settings| &settings.python,
    }),
    protocol: AppProtocol::Session,
};

const NODE: KindDefinition = KindDefinition {
    name: "nodejs",
    types: &["nodejs", "node"],
    startup_file: Some("app.js"),
    loader: Some(Loader {
        file: "nodejs/node-loader.js",
        preloader: None,
        is_smart: false,
        interpreters: &["node"],
        setting: "nodejs",
        interpreter: |settings| &settings.nodejs,
    }),
    protocol: AppProtocol::Http,
};

const METEOR: KindDefinition = KindDefinition {
    name: "meteor",
    types: &["meteor"],
    startup_file: Some(".meteor"),
    loader: None,
    protocol: AppProtocol::Http,
};

const GENERIC: KindDefinition = KindDefinition {
    name: "generic",
    types: &[],
    startup_file: None,
    loader: None,
    protocol: AppProtocol::Http,
};

impl AppKind {
    /// Every kind, in the order in which a directory is searched for their startup files.
    pub const ALL: [Self; 5] = [Self::Ruby, Self::Node, Self::Python, Self::Meteor, Self::Generic];

    /// Returns its definition.
    pub const fn definition(self) -> &'static KindDefinition {
        match self {
            Self::Ruby => &RUBY,
            Self::Python => &PYTHON,
            Self::Node => &NODE,
            Self::Meteor => &METEOR,
            Self::Generic => &GENERIC,
        }
    }

    /// Returns the name used in logs and JSON.
    pub fn as_str(self) -> &'static str {
        self.definition().name
    }

    /// Returns the kind of this name in logs and JSON.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the kind of this value of `passenger_app_type`. None is generic: such an app is configured by its start
    /// command.
    pub fn of_type(app_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.definition().types.contains(&app_type))
    }

    /// Returns the kind of a startup file by the ending of its name; `None` where it may be of several kinds.
    pub fn of_file(file: &str) -> Option<Self> {
        let (_, ending) = file.rsplit('/').next()?.rsplit_once('.')?;
        match ending {
            "ru" => Some(Self::Ruby),
            "py" | "wsgi" => Some(Self::Python),
            "js" | "cjs" | "mjs" => Some(Self::Node),
            _ => None,
        }
    }

    /// Returns every value of `passenger_app_type`.
    pub fn types() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().flat_map(|kind| kind.definition().types).copied()
    }

    /// Returns the loader; `None` where the app is a separate program.
    pub fn loader(self) -> Option<&'static Loader> {
        self.definition().loader.as_ref()
    }

    /// Whether processes use the session protocol.
    pub fn has_sessions(self) -> bool {
        self.definition().protocol == AppProtocol::Session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_names_are_found() {
        for (app_type, kind) in [
            ("ruby", Some(AppKind::Ruby)),
            ("rack", Some(AppKind::Ruby)),
            ("wsgi", Some(AppKind::Python)),
            ("node", Some(AppKind::Node)),
            ("meteor", Some(AppKind::Meteor)),
            ("generic", None),
            ("Ruby", None),
        ] {
            assert_eq!(AppKind::of_type(app_type), kind, "{app_type}");
        }
        assert!(AppKind::ALL.into_iter().all(|kind| AppKind::of_name(kind.as_str()) == Some(kind)));
    }

    #[test]
    fn a_file_has_the_kind_of_its_ending() {
        for (file, kind) in [
            ("alt.ru", Some(AppKind::Ruby)),
            ("/srv/shop/web.wsgi", Some(AppKind::Python)),
            (".output/server/index.mjs", Some(AppKind::Node)),
            ("bin/www", None),
            ("dir.py/start", None),
            ("", None),
        ] {
            assert_eq!(AppKind::of_file(file), kind, "{file}");
        }
    }

    #[test]
    fn preloaders_belong_to_loaders_with_sessions() {
        for kind in AppKind::ALL {
            let has_preloader = kind.loader().is_some_and(|loader| loader.preloader.is_some());
            assert_eq!(has_preloader, kind.has_sessions(), "{}", kind.as_str());
        }
    }
}
