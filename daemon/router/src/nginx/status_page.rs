//! Answers to nginx's queries for the status page, which locations with `passenger_status` serve. [`crate::admin`]
//! renders the content.

use std::io;
use std::rc::Rc;

use protocol::status::{StatusPart, StatusQuestion};

use crate::admin;
use crate::admin::page;
use crate::app_protocol::response_head::{Head, ResponseError};
use crate::metrics::page_cache::CachedPage;
use crate::nginx_conn::NginxConn;
use crate::response::reason_phrase;
use crate::state::RouterState;

/// Answers a query. An error means that the connection cannot be used further.
pub(super) async fn answer(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    question: StatusQuestion,
) -> io::Result<()> {
    let page = match question.part {
        StatusPart::Page => Rc::new(page::html()?),
        StatusPart::Data => {
            router.usages.look(&router.dispatcher).await;
            router.page_cache.get_or_render(|| page::data_for_nginx(router))
        }
        StatusPart::Metrics => {
            router.usages.look(&router.dispatcher).await;
            Rc::new(admin::metrics_for_nginx(router))
        }
    };
    write_head(&mut nginx.head, &page).map_err(io::Error::other)?;
    nginx.frames.added.clear();
    nginx.frames.hides_version = !router.globals.show_version();
    nginx.frames.whole(&nginx.head, question.to_head, &page.body, &mut nginx.stream).await?;
    nginx.frames.flush(&mut nginx.stream).await
}

fn write_head(head: &mut Head, page: &CachedPage) -> Result<(), ResponseError> {
    head.begin(200, reason_phrase(200).as_bytes())?;
    head.header(b"Content-Type", page.content_type.as_bytes())?;
    for (name, value) in &page.headers {
        head.header(name.as_bytes(), value.as_bytes())?;
    }
    head.header(b"Content-Length", page.body.len().to_string().as_bytes())
}
