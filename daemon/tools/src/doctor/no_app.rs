//! Error for a directory without an app: what is missing, and the most likely advice.

use std::path::{Path, PathBuf};

/// The error for a directory without an app.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoApp {
    pub(super) root: PathBuf,
    pub(super) problem: String,
    pub(super) advice: String,
}

impl NoApp {
    pub(super) fn new(root: &Path, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { root: root.to_path_buf(), problem: problem.into(), advice: advice.into() }
    }

    /// Creates the error for a directory in which no app was found.
    pub(super) fn in_directory(root: &Path) -> Self {
        let sign = SIGNS.iter().find(|(file, _)| root.join(file).exists());
        let problem = format!(
            "there is no app in {}: neither config.ru nor app.js nor passenger_wsgi.py nor .meteor nor \
             Passengerfile.json",
            root.display()
        );
        Self::new(root, problem, sign.map_or(NO_SIGN, |(_, advice)| advice))
    }
}

/// Files of frameworks that are not detected automatically, each with what is missing.
const SIGNS: [(&str, &str); 9] = [
    (
        "manage.py",
        "This looks like Django: make a passenger_wsgi.py that has `application`, or name the project's wsgi.py with \
         --type wsgi --startup-file (passenger_app_type and passenger_startup_file in nginx.conf).",
    ),
    ("wsgi.py", NAME_IT),
    ("app.py", NAME_IT),
    ("main.py", NAME_IT),
    (
        "package.json",
        "Name its main file: --type node --startup-file FILE (passenger_app_type and passenger_startup_file in \
         nginx.conf), or rename that to app.js.",
    ),
    ("Gemfile", "A Ruby app needs a config.ru, for Rack."),
    ("../config.ru", ONE_UP),
    ("../app.js", ONE_UP),
    ("../passenger_wsgi.py", ONE_UP),
];

const NAME_IT: &str = "Name the Python file that has `application`: --type wsgi --startup-file FILE \
                       (passenger_app_type and passenger_startup_file in nginx.conf), or call it passenger_wsgi.py.";
const ONE_UP: &str = "The app is one directory up: name that one; nginx's root is its public directory.";
const NO_SIGN: &str = "Is it another directory? Or name a --start-command, or a --type and a --startup-file.";
