//! Why no application is found where one was expected: for nginx's log, and for a page in development.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

/// Beginning and end of the page, which has the look of the daemon's error pages.
const PAGE_BEGIN: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><title>No application is found</title><style>\
    :root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:8vh auto;padding:0 1em}\
    h1{font-size:1.5em}code{overflow-wrap:anywhere}</style></head><body><h1>No application is found</h1>\n";
const PAGE_END: &str = "</body></html>\n";

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

    /// Returns a page for developers.
    pub fn page(&self) -> String {
        let mut page = PAGE_BEGIN.to_owned();
        let Self { root, exists, rejected } = self;
        let root = escaped(root);
        if !exists {
            page += &format!("<p>The directory <code>{root}</code> does not exist.</p>\n");
        } else {
            let candidates = detection::candidates();
            let names: Vec<_> = candidates.iter().map(|name| format!("<code>{name}</code>")).collect();
            page +=
                &format!("<p>In <code>{root}</code> none of these starts one: {}.</p>\n", names.join(", "));
        }
        if !rejected.is_empty() {
            let items: Vec<_> = rejected.iter().map(|each| format!("<li>{}</li>", escaped(each))).collect();
            page += &format!("<p>Not used:</p>\n<ul>{}</ul>\n", items.join("\n"));
        }
        page += &format!(
            "<p>Name the startup file with <code>passenger_app_type</code> and <code>passenger_startup_file</code>, or \
             the command with <code>passenger_app_start_command</code>. <code>passenger-config doctor {root}</code> \
             examines the directory.</p>\n"
        );
        page + PAGE_END
    }
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
        let page = nothing.page();
        for text in ["/srv/&lt;shop&gt;", "<code>config.ru</code>", "<li>app.py defines neither &quot;"] {
            assert!(page.contains(text), "{page}");
        }
    }
}
