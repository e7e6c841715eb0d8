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
        let mut problem = format!(
            "there is no app in {}: it contains none of {} that starts one",
            root.display(),
            detection::candidates().join(", ")
        );
        let rejected = detection::search(root).map(|search| search.rejected).unwrap_or_default();
        if !rejected.is_empty() {
            problem += &format!("; not used: {}", rejected.join("; "));
        }
        let near = || PARENT_FILES.iter().any(|file| root.join("..").join(file).exists());
        let advice = match () {
            () if root.join("Gemfile").exists() => NO_RACKUP,
            () if !rejected.is_empty() => NAME_FILE,
            () if near() => PARENT_DIRECTORY,
            () => NO_HINT,
        };
        Self::new(root, problem, advice)
    }
}

/// Files of an app whose public directory may have been specified.
const PARENT_FILES: [&str; 6] =
    ["config.ru", "app.js", "passenger_wsgi.py", "app.py", "manage.py", "package.json"];

const NO_RACKUP: &str = "A Ruby app needs a config.ru, for Rack.";
const NAME_FILE: &str = "Let one of these files define the application, or name the app's startup file with --type and \
     --startup-file (passenger_app_type and passenger_startup_file in nginx.conf), or its --start-command \
     (passenger_app_start_command).";
const PARENT_DIRECTORY: &str = "The app is in the parent directory. Specify that directory; the root in nginx.conf is its public directory.";
const NO_HINT: &str =
    "Specify the app's directory, or its --start-command, or its --type and --startup-file.";
