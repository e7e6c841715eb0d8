//! Error for a directory without an app: what is missing, and the most likely advice.

use std::path::{Path, PathBuf};

use diagnosis::{Code, Diagnosis};

/// The error for a directory without an app.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoApp {
    pub(super) root: PathBuf,
    pub(super) diagnosis: Diagnosis,
}

impl NoApp {
    pub(super) fn new(root: &Path, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { root: root.to_path_buf(), diagnosis: Diagnosis::new(Code::NoApp, cause, remedy) }
    }

    /// Creates the error for a directory in which no app was found.
    pub(super) fn in_directory(root: &Path) -> Self {
        let hint = HINTS.iter().find(|(file, _)| root.join(file).exists());
        let cause = format!(
            "there is no app in {}: it contains none of config.ru, app.js, passenger_wsgi.py, .meteor and \
             Passengerfile.json",
            root.display()
        );
        Self::new(root, cause, hint.map_or(NO_HINT, |(_, remedy)| remedy))
    }
}

/// Files of frameworks that are not detected automatically, each with what is missing.
const HINTS: [(&str, &str); 9] = [
    (
        "manage.py",
        "This looks like Django. Create a passenger_wsgi.py that defines `application`, or name the project's wsgi.py with \
         --type wsgi --startup-file (passenger_app_type and passenger_startup_file in nginx.conf).",
    ),
    ("wsgi.py", NAME_PYTHON_FILE),
    ("app.py", NAME_PYTHON_FILE),
    ("main.py", NAME_PYTHON_FILE),
    (
        "package.json",
        "Name its main file with --type node --startup-file FILE (passenger_app_type and passenger_startup_file in \
         nginx.conf), or rename the file to app.js.",
    ),
    ("Gemfile", "A Ruby app needs a config.ru, for Rack."),
    ("../config.ru", PARENT_DIRECTORY),
    ("../app.js", PARENT_DIRECTORY),
    ("../passenger_wsgi.py", PARENT_DIRECTORY),
];

const NAME_PYTHON_FILE: &str = "Name the Python file that defines `application` with --type wsgi --startup-file FILE \
     (passenger_app_type and passenger_startup_file in nginx.conf), or rename it to passenger_wsgi.py.";
const PARENT_DIRECTORY: &str = "The app is in the parent directory. Specify that directory; the root in nginx.conf is its public directory.";
const NO_HINT: &str =
    "Specify the app's directory, or its --start-command, or its --type and --startup-file.";
