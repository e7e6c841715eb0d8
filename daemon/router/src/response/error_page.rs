//! Responses of the daemon: what clients see when an app does not start, is overloaded or breaks off.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tracing::warn;

use super::super::dispatch::Refused;
use crate::app::settings::AppSettings;
use crate::metrics::page_cache::Document;
use crate::report::SpawnFailure;
use common::link::Maintenance;

/// Maximum size of a custom error page, in bytes.
const MAX_CUSTOM: u64 = 1 << 20;

/// A page: status, title and the content below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    title: String,
    /// Escaped HTML.
    content: String,
    /// A whole page supplied by the operator.
    custom: Option<Vec<u8>>,
    /// `Retry-After` in seconds; 0 for none.
    retry_after: u32,
}

impl Page {
    /// Returns the page for a request that gets no process.
    pub(crate) fn refused(refused: &Refused, settings: &AppSettings) -> Self {
        const OVERLOADED: &str = "This website is under heavy load";
        const TOO_MANY: &str =
            "Too many people are accessing this website at the same time. Please try again in a few minutes.";
        match refused {
            Refused::QueueFull => {
                Self::plain(settings.router.request_queue_overflow_status_code.0, OVERLOADED, TOO_MANY)
            }
            Refused::QueuedTooLong(_) => Self::plain(
                settings.router.request_queue_timeout_status_code.0,
                OVERLOADED,
                "Your request has waited too long. Please try again in a few minutes.",
            ),
            Refused::NoDescriptors | Refused::TunnelsFull(_) => Self::plain(503, OVERLOADED, TOO_MANY),
            Refused::OtherKind(_) => Self::plain(
                500,
                "This website is not configured correctly",
                "Two applications have the same name. The log of flying-passenger has the details.",
            ),
            Refused::SlowUpload(_) => Self::slow_upload(),
            Refused::OwnMethod => Self::plain(405, "Method not allowed", ""),
            Refused::ShuttingDown => {
                Self::plain(503, "This website is being restarted", "Please try again in a few seconds.")
            }
            Refused::Maintenance(maintenance) => Self::maintenance(maintenance),
            Refused::SpawnFailed(failure) => Self::spawn_failed(failure),
        }
    }

    /// Returns the page for an app that failed before its response began.
    pub(crate) fn incomplete() -> Self {
        Self::plain(502, "Incomplete response received from application", "")
    }

    /// Returns the page for an app that exceeded its time limit.
    pub(crate) fn too_slow() -> Self {
        Self::plain(504, "The application took too long to respond", "")
    }

    /// Returns the page for a client that sends its request body too slowly.
    pub(crate) fn slow_upload() -> Self {
        Self::plain(408, "Your request was received too slowly", "Please try again.")
    }

    fn plain(status: u16, title: &str, text: &str) -> Self {
        Self { status, title: title.into(), content: paragraph(text), custom: None, retry_after: 0 }
    }

    fn maintenance(maintenance: &Maintenance) -> Self {
        let custom = Some(&maintenance.page).filter(|page| !page.is_empty());
        Self {
            custom: custom.map(|page| page.clone().into_bytes()),
            retry_after: maintenance.retry_after,
            ..Self::plain(503, "This website is under maintenance", "Please try again in a few minutes.")
        }
    }

    fn spawn_failed(failure: &SpawnFailure) -> Self {
        Self {
            content: if failure.friendly { details(failure) } else { error_id(failure) },
            custom: failure.page.as_deref().filter(|_| !failure.friendly).and_then(custom),
            ..Self::plain(failure.status, "Web application could not be started", "")
        }
    }

    /// Renders the page as HTML, or as JSON for a client that sent JSON.
    pub(crate) fn document(&self, json: bool) -> Document {
        let (content_type, body) = if json {
            let text = serde_json::json!({ "error": { "status": self.status, "message": self.title } });
            ("application/json", text.to_string().into_bytes())
        } else {
            ("text/html; charset=utf-8", self.custom.clone().unwrap_or_else(|| self.html().into_bytes()))
        };
        let retry_after = Some(self.retry_after).filter(|seconds| *seconds > 0);
        let mut headers: Vec<_> =
            retry_after.map(|seconds| ("Retry-After", seconds.to_string())).into_iter().collect();
        headers.push(("Cache-Control", "no-cache, no-store, must-revalidate".to_owned()));
        Document { content_type, headers, body }
    }

    fn html(&self) -> String {
        let Self { title, content, .. } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\n\
             <style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem;color:#222}}\
             h1{{font-size:1.5rem}}pre{{background:#f4f4f4;padding:1rem;overflow:auto;white-space:pre-wrap}}\
             </style></head>\n<body><h1>{title}</h1>\n{content}</body></html>\n"
        )
    }
}

/// Returns the operator's page, if it is readable and not too long.
fn custom(path: &Path) -> Option<Vec<u8>> {
    let read = || {
        let mut page = Vec::new();
        // A FIFO would never end, and opening it would wait for a writer.
        let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        file.take(MAX_CUSTOM + 1).read_to_end(&mut page)?;
        if page.len() as u64 > MAX_CUSTOM {
            return Err(io::Error::other("it is longer than 1 MiB"));
        }
        Ok(page)
    };
    read().inspect_err(|why| warn!("cannot show passenger_custom_error_page {}: {why}", path.display())).ok()
}

/// Returns what every visitor may see of a failed start.
fn error_id(failure: &SpawnFailure) -> String {
    format!(
        "<p>This website could not be started. If you are its administrator, search the log of flying-passenger for this \
         error ID.</p>\n<p>Error ID: <code>{}</code></p>\n",
        failure.id
    )
}

fn details(failure: &SpawnFailure) -> String {
    let mut html = paragraph(&failure.summary);
    html.push_str(&format!(
        "<p>App: <code>{}</code><br>Environment: <code>{}</code><br>Error ID: <code>{}</code></p>\n",
        escape(&failure.app),
        escape(&failure.app_env),
        failure.id
    ));
    if let Some(user) = &failure.user {
        html.push_str(&paragraph(&format!("It was started as user {}.", user.name)));
    }
    if let Some((pid, Some(how))) = &failure.process {
        html.push_str(&paragraph(&format!("Process {pid} {how}.")));
    }
    if !failure.entry_point.is_empty() {
        html.push_str(&paragraph(&format!("It runs {}.", failure.entry_point)));
    }
    let steps = failure.steps.iter().map(|step| format!("{step}\n"));
    html.push_str(&section("Startup steps", &steps.collect::<String>()));
    html.push_str(&section("Details", &failure.details));
    html.push_str(&section("Output of the application", &failure.output));
    let variables = failure.environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    html.push_str(&section("Environment of the process", &variables.collect::<String>()));
    html
}

fn section(title: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<h2>{title}</h2><pre>{}</pre>\n", escape(text)) }
}

fn paragraph(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p>{}</p>\n", escape(text)) }
}

/// Escapes text for HTML and XML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn failure(friendly: bool) -> Refused {
        Refused::SpawnFailed(Rc::new(SpawnFailure {
            id: "0badcafe".into(),
            app: "/srv/app (development)".into(),
            app_root: "/srv/app".into(),
            app_env: "development".into(),
            summary: "cannot load <config.ru>".into(),
            details: "secret backtrace".into(),
            output: "secret output".into(),
            entry_point: String::new(),
            steps: Vec::new(),
            process: Some((7, Some("exited with status 1".into()))),
            user: None,
            environment: [("SECRET_PATH".into(), "secret path".into())].into(),
            status: 500,
            page: None,
            friendly,
        }))
    }

    fn html(refused: &Refused) -> String {
        String::from_utf8(Page::refused(refused, &AppSettings::default()).document(false).body).unwrap()
    }

    #[test]
    fn in_production_the_page_contains_only_the_error_id() {
        let page = html(&failure(false));
        assert!(page.contains("0badcafe"));
        assert!(!page.contains("secret") && !page.contains("/srv/app") && !page.contains("config.ru"));
    }

    #[test]
    fn in_development_the_page_contains_the_details() {
        let page = html(&failure(true));
        for part in
            ["0badcafe", "secret backtrace", "secret output", "cannot load &lt;config.ru&gt;", "status 1"]
        {
            assert!(page.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn a_client_that_sent_json_gets_json() {
        let document = Page::refused(&Refused::QueueFull, &AppSettings::default()).document(true);
        assert_eq!(document.content_type, "application/json");
        let value: serde_json::Value = serde_json::from_slice(&document.body).unwrap();
        assert_eq!(value["error"]["status"], 503);
    }
}
