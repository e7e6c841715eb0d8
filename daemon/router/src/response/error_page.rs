//! Responses of the daemon: what clients see when an app does not start, is overloaded or breaks off.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use protocol::page::{self, ErrorPage};
use tracing::warn;

use super::super::dispatch::Refused;
use crate::app::settings::AppSettings;
use crate::metrics::page_cache::Document;
use crate::report::SpawnFailure;
use common::link::Maintenance;

/// Maximum size of a custom error page, in bytes.
const MAX_CUSTOM: u64 = 1 << 20;

/// A page and its headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    page: ErrorPage,
    /// A whole page supplied by the operator.
    custom: Option<Vec<u8>>,
    /// `Retry-After` in seconds; 0 for none.
    retry_after: u32,
    /// A line for nginx's error log.
    pub(crate) log_line: Option<String>,
    /// Further members of the response to a client that sent JSON.
    json: Vec<(&'static str, String)>,
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
        let content = page::panel(&page::paragraph(text));
        let page = ErrorPage { status, title: title.into(), content, is_report: false };
        Self { status, page, custom: None, retry_after: 0, log_line: None, json: Vec::new() }
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
        let page = ErrorPage {
            status: failure.status,
            title: "Web application could not be started".into(),
            content: if failure.friendly { report(failure) } else { error_id(failure) },
            is_report: failure.friendly,
        };
        let mut json = vec![("error_id", failure.id.clone())];
        if failure.friendly {
            json.push(("cause", failure.diagnosis.cause.clone()));
            json.push(("remedy", failure.diagnosis.remedy.clone()));
        }
        let custom = failure.page.as_deref().filter(|_| !failure.friendly).and_then(custom);
        let log_line = Some(failure.line());
        Self { page, custom, json, log_line, ..Self::plain(failure.status, "", "") }
    }

    /// Renders the page as HTML, or as JSON for a client that sent JSON.
    pub(crate) fn document(&self, json: bool) -> Document {
        let (content_type, body) = if json {
            let mut error = serde_json::json!({ "status": self.status, "message": self.page.title });
            self.json.iter().for_each(|(name, text)| error[*name] = text.as_str().into());
            ("application/json", serde_json::json!({ "error": error }).to_string().into_bytes())
        } else {
            ("text/html; charset=utf-8", self.custom.clone().unwrap_or_else(|| self.page.html().into_bytes()))
        };
        let retry_after = Some(self.retry_after).filter(|seconds| *seconds > 0);
        let mut headers: Vec<_> =
            retry_after.map(|seconds| ("Retry-After", seconds.to_string())).into_iter().collect();
        headers.push(("Cache-Control", "no-cache, no-store, must-revalidate".to_owned()));
        Document { content_type, headers, body }
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
    let id = format!("Error ID: <code>{}</code>", failure.id);
    let commands = page::commands("If you are the administrator of this website, run:", &[failure.command()]);
    page::panel(&format!("<p>Please try again later.</p><p>{id}</p>{commands}"))
}

/// Returns the report for developers.
fn report(failure: &SpawnFailure) -> String {
    let diagnosis = &failure.diagnosis;
    let mut html = page::diagnosis(&diagnosis.cause, &diagnosis.remedy);
    if diagnosis.cause != failure.summary {
        html.push_str(&page::section("Reported", &failure.summary));
    }
    html.push_str(&page::section("Details", &failure.details));
    html.push_str(&page::section("Output of the application", &failure.own_output()));
    html.push_str(&page::facts(&facts(failure)));
    let doctor = format!("passenger-config doctor {}", failure.app_root);
    let commands = [failure.command(), doctor];
    html.push_str(&page::panel(&page::commands("In a terminal, the report and a test start:", &commands)));
    let steps = failure.steps.iter().map(|step| format!("{step}\n"));
    html.push_str(&page::folded("Startup steps", &steps.collect::<String>()));
    let variables = failure.environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    html.push_str(&page::folded("Environment of the process", &variables.collect::<String>()));
    html
}

fn facts(failure: &SpawnFailure) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("App", failure.app.clone()),
        ("Directory", failure.app_root.clone()),
        ("Environment", failure.app_env.clone()),
    ];
    facts.extend(failure.user.as_ref().map(|user| ("User", user.name.clone())));
    if !failure.entry_point.is_empty() {
        facts.push(("Runs", failure.entry_point.clone()));
    }
    if let Some((pid, Some(how))) = &failure.process {
        facts.push(("Process", format!("{pid} {how}")));
    }
    facts.push(("Error ID", failure.id.clone()));
    facts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::route::Route;
    use crate::report::StartupTrace;

    fn failure(friendly: bool) -> Refused {
        let mut failure = SpawnFailure::new(
            &Route::for_test("ruby"),
            "the app failed while it was loaded: cannot load <config.ru>",
            &StartupTrace::from_preloader(),
        );
        failure.id = "0badcafe".into();
        failure.environment = [("SECRET_PATH".into(), "secret path".into())].into();
        failure.process = Some((7, Some("exited with status 1".into())));
        failure.friendly = friendly;
        Refused::SpawnFailed(Arc::new(failure.explained("secret backtrace".into(), "secret output".into())))
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
