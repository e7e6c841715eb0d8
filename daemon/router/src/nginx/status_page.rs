//! Answers to nginx's queries for the status page, which locations with `passenger_status` serve. [`crate::admin`]
//! renders the content.

use std::io;
use std::rc::Rc;

use protocol::request::BodyLength;
use protocol::status::{StatusPart, StatusQuestion};

use crate::admin;
use crate::admin::page;
use crate::app_protocol::response_head::{Head, ReplyError};
use crate::metrics::page_cache::CachedPage;
use crate::nginx_conn::NginxConn;
use crate::response::{Origin, reason_phrase};
use crate::state::RouterState;

/// Answers a query. An error means that the connection cannot be used further.
pub(super) async fn answer(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    question: StatusQuestion,
) -> io::Result<()> {
    let shown = match question.part {
        StatusPart::Page => Rc::new(page::html()?),
        StatusPart::Data => {
            router.usages.refresh(&router.dispatcher).await;
            router.page_cache.get_or_render(|| page::data_for_nginx(router))
        }
        StatusPart::Metrics => {
            router.usages.refresh(&router.dispatcher).await;
            Rc::new(admin::metrics_for_nginx(router))
        }
    };
    fill(&mut nginx.head, &shown).map_err(io::Error::other)?;
    nginx.frames.added.clear();
    nginx.frames.hides_version = !router.globals.show_version();
    let length = nginx.head.body_length(question.to_head);
    let bodiless = length == BodyLength::None;
    nginx.frames.head(&nginx.head, length, bodiless, Origin::default()).map_err(io::Error::other)?;
    if !bodiless {
        nginx.frames.body(&shown.body, true, &mut nginx.stream).await?;
    }
    nginx.frames.flush(&mut nginx.stream).await
}

fn fill(head: &mut Head, shown: &CachedPage) -> Result<(), ReplyError> {
    head.begin(200, reason_phrase(200).as_bytes())?;
    head.header(b"Content-Type", shown.content_type.as_bytes())?;
    for (name, value) in &shown.headers {
        head.header(name.as_bytes(), value.as_bytes())?;
    }
    head.header(b"Content-Length", shown.body.len().to_string().as_bytes())
}
