//! Pages of the gate itself, for visitors.

use std::io;

use bytes::Bytes;
use protocol::page;

use super::response::{Responder, ResponseBody, ResponseHead};

/// A page for visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorPage {
    pub(crate) status: u16,
    text: &'static str,
}

impl ErrorPage {
    /// No application serves the host.
    pub(crate) const fn no_site() -> Self {
        Self { status: 404, text: "No application is configured for this address." }
    }

    /// There is no application in the configured directory.
    pub(crate) const fn no_app() -> Self {
        Self {
            status: 503,
            text: "There is no application in the directory of this site. The log of flying-passenger-gate names it.",
        }
    }

    /// The disk does not answer.
    pub(crate) const fn unavailable() -> Self {
        Self { status: 503, text: "The files of this site cannot be read at the moment." }
    }

    /// The application cannot be determined.
    pub(crate) const fn internal() -> Self {
        Self {
            status: 500,
            text: "The application cannot be found. The log of flying-passenger-gate has the reason.",
        }
    }

    /// The daemon gave no response.
    pub(crate) const fn bad_gateway() -> Self {
        Self {
            status: 502,
            text: "The application server did not answer. The log of flying-passenger-gate has the reason.",
        }
    }

    /// A page without an explanation of its own.
    pub(crate) const fn of_status(status: u16) -> Self {
        Self { status, text: "" }
    }

    fn html(self) -> String {
        let reason =
            http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let content = page::panel(&page::paragraph(self.text));
        let title = reason.unwrap_or("Error").to_owned();
        page::ErrorPage { status: self.status, title, content, is_report: false }.html()
    }

    /// Sends the page; without its body for a HEAD.
    pub(crate) async fn send<R: Responder>(self, to_head: bool, responder: &mut R) -> io::Result<()> {
        let html = self.html();
        let mut headers = vec![
            (b"Content-Type".to_vec(), b"text/html; charset=utf-8".to_vec()),
            (b"Cache-Control".to_vec(), b"no-store".to_vec()),
        ];
        if self.status == 405 {
            headers.push((b"Allow".to_vec(), b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_vec()));
        }
        if to_head {
            headers.push((b"Content-Length".to_vec(), html.len().to_string().into_bytes()));
        }
        let body = if to_head { ResponseBody::None } else { ResponseBody::Known(html.len() as u64) };
        responder.head(ResponseHead { status: self.status, reason: Vec::new(), headers }, body).await?;
        if !to_head {
            responder.data(Bytes::from(html)).await?;
        }
        responder.end().await
    }
}
