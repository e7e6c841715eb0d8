//! Why no application is found where one was expected: for nginx's log, and for a page in development.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use protocol::page::{self, ErrorPage};

use crate::app_kind::AppType;
use crate::app_location::{AppConf, is_made_up};

/// A directory without an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NothingFound {
    root: String,
    exists: bool,
    /// What exists and is not used, with the reasons.
    rejected: Vec<String>,
}

/// The heading of the page.
const TITLE: &str = "No application is found";
/// What to do when the directory exists.
const REMEDY: &str = "Name the startup file with passenger_app_type and passenger_startup_file, or the command with \
                      passenger_app_start_command.";

impl NothingFound {
    /// Returns why the search of [`find_app`](crate::app_location::find_app) had no result; `None` where nginx serves
    /// the location by itself: its type is unknown, or a client has made up its directory.
    pub(crate) fn of(conf: &AppConf, root: &[u8]) -> Option<Self> {
        if conf.kind == Some(AppType::Unknown) || is_made_up(conf, root) {
            return None;
        }
        let directory = Path::new(OsStr::from_bytes(root));
        let rejected = detection::search(directory).map(|search| search.rejected).unwrap_or_default();
        Some(Self { root: directory.display().to_string(), exists: directory.is_dir(), rejected })
    }

    /// Renders the page; `friendly` is `passenger_friendly_error_pages`: without it, no path is shown.
    pub fn html(&self, friendly: bool) -> Vec<u8> {
        let content = if friendly { self.report() } else { hint() };
        let page = ErrorPage { status: 404, title: TITLE.to_owned(), content, is_report: friendly };
        page.html().into_bytes()
    }

    fn report(&self) -> String {
        let Self { root, exists, rejected } = self;
        if !exists {
            let cause = format!("the directory {root} does not exist");
            return page::diagnosis(&cause, "Deploy the application, or correct root or passenger_app_root.");
        }
        let doctor = format!("passenger-config doctor {root}");
        [
            page::diagnosis(&format!("{root} contains nothing that starts an application"), REMEDY),
            page::section("Looked for", &detection::candidates().join("\n")),
            page::section("Not used", &rejected.join("\n")),
            page::panel(&page::commands("In a terminal, an examination of the directory:", &[doctor])),
        ]
        .concat()
    }
}

/// Returns what visitors see.
fn hint() -> String {
    let administrator = "If you are the administrator of this website, search nginx's error log for \"no application is \
                         found\", or run this command with the application's directory:";
    page::panel(&page::commands(administrator, &["passenger-config doctor DIRECTORY".to_owned()]))
}

impl fmt::Display for NothingFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, exists, rejected } = self;
        if !exists {
            return write!(
                f,
                "no application is found: the directory {root} does not exist; deploy the application, or correct \
                 root or passenger_app_root"
            );
        }
        write!(f, "no application is found in {root}; looked for {}", detection::candidates().join(", "))?;
        if !rejected.is_empty() {
            write!(f, "; not used: {}", rejected.join("; "))?;
        }
        write!(
            f,
            "; configure passenger_app_type and passenger_startup_file, or passenger_app_start_command; \
             \"passenger-config doctor {root}\" examines the directory"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_log_line_list_what_was_looked_for() {
        let nothing = NothingFound {
            root: "/srv/<shop>".into(),
            exists: true,
            rejected: vec!["app.py defines neither \"application\" nor \"app\"".into()],
        };
        let line = nothing.to_string();
        for text in ["in /srv/<shop>; looked for Passengerfile.json, config.ru", "; not used: app.py defines"]
        {
            assert!(line.contains(text), "{line}");
        }
        let page = String::from_utf8(nothing.html(true)).unwrap();
        for text in ["/srv/&lt;shop&gt;", "config.ru\n", "app.py defines neither &quot;"] {
            assert!(page.contains(text), "{page}");
        }
        let page = String::from_utf8(nothing.html(false)).unwrap();
        assert!(
            !page.contains("shop") && !page.contains("app.py") && page.contains("passenger-config doctor"),
            "{page}"
        );
    }
}
