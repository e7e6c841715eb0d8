//! The kinds of apps that one test runs over.

/// A kind of app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rack, through the Ruby loader.
    Ruby,
    /// WSGI, through the Python loader.
    Python,
    /// Node.js, through its loader.
    Node,
    /// A server that listens on `$PORT`, started by a command.
    Generic,
}

impl Language {
    /// Parses the name that is used in test names.
    pub fn from_name(name: &str) -> Self {
        match name {
            "ruby" => Self::Ruby,
            "python" => Self::Python,
            "node" => Self::Node,
            "generic" => Self::Generic,
            _ => panic!("{name} is no language"),
        }
    }

    /// The name in the standard app's answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ruby => "ruby",
            Self::Python => "python",
            Self::Node => "node",
            Self::Generic => "generic",
        }
    }

    /// The lines of a location that serves an app of this kind, beyond `passenger_enabled on`.
    pub fn directives(self) -> &'static str {
        match self {
            Self::Generic => "passenger_app_start_command \"node server.js\";",
            _ => "",
        }
    }

    pub(crate) fn standard_source(self) -> (&'static str, &'static str) {
        match self {
            Self::Ruby => ("config.ru", include_str!("../apps/config.ru")),
            Self::Python => ("passenger_wsgi.py", include_str!("../apps/passenger_wsgi.py")),
            Self::Node => ("app.js", include_str!("../apps/app.js")),
            Self::Generic => ("server.js", include_str!("../apps/app.js")),
        }
    }
}
