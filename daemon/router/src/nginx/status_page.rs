//! Answers to nginx's queries for the status page and the daemon's health, which locations with `passenger_status` and
//! `passenger_health` serve. [`crate::admin`] renders the status page.

use std::io;
use std::sync::Arc;

use protocol::status::{StatusPart, StatusQuestion};

use crate::admin;
use crate::admin::caller::Caller;
use crate::admin::page;
use crate::metrics::page_cache::Document;
use crate::nginx_conn::NginxConn;
use crate::state::RouterState;

/// Responds to a query. An error means that the connection cannot be used further.
pub(super) async fn respond(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    question: StatusQuestion,
) -> io::Result<()> {
    let ending = router.connections.is_closing();
    let page = match question.part {
        StatusPart::Page => Arc::new(page::html()?),
        StatusPart::Data => {
            router.usages.refresh(&router.dispatcher).await;
            router.page_cache.get_or_render(|| page::data(router, Caller::of_nginx()))
        }
        StatusPart::Metrics => {
            router.usages.refresh(&router.dispatcher).await;
            Arc::new(admin::metrics(router, Caller::of_nginx()))
        }
        StatusPart::Health => Arc::new(health(ending, false)),
        StatusPart::HealthJson => Arc::new(health(ending, true)),
    };
    let is_health = matches!(question.part, StatusPart::Health | StatusPart::HealthJson);
    let status = if is_health && ending { 503 } else { 200 };
    nginx.frames.hides_version = !router.globals.show_version();
    nginx.frames.document(&mut nginx.head, status, &page, question.to_head, &mut nginx.stream).await?;
    nginx.frames.flush(&mut nginx.stream).await
}

/// Returns whether this daemon serves requests. The module writes the same forms when the daemon does not answer.
fn health(ending: bool, as_json: bool) -> Document {
    let text = match (ending, as_json) {
        (false, false) => "ok\n",
        (false, true) => "{\"status\":\"ok\"}\n",
        (true, false) => "flying-passenger is shutting down\n",
        (true, true) => "{\"status\":\"error\",\"message\":\"flying-passenger is shutting down\"}\n",
    };
    Document {
        content_type: if as_json { "application/json" } else { "text/plain; charset=utf-8" },
        headers: vec![("Cache-Control", "no-store".to_owned())],
        body: text.into(),
    }
}
