//! Answers to nginx's queries for the status page, which locations with `passenger_status` serve. [`crate::admin`]
//! renders the content.

use std::io;
use std::rc::Rc;

use protocol::status::{StatusPart, StatusQuestion};

use crate::admin;
use crate::admin::caller::Caller;
use crate::admin::page;
use crate::nginx_conn::NginxConn;
use crate::state::RouterState;

/// Responds to a query. An error means that the connection cannot be used further.
pub(super) async fn respond(
    router: &RouterState,
    nginx: &mut NginxConn<'_>,
    question: StatusQuestion,
) -> io::Result<()> {
    let page = match question.part {
        StatusPart::Page => Rc::new(page::html()?),
        StatusPart::Data => {
            router.usages.refresh(&router.dispatcher).await;
            router.page_cache.get_or_render(|| page::data(router, Caller::of_nginx()))
        }
        StatusPart::Metrics => {
            router.usages.refresh(&router.dispatcher).await;
            Rc::new(admin::metrics(router, Caller::of_nginx()))
        }
    };
    nginx.frames.hides_version = !router.globals.show_version();
    nginx.frames.document(&mut nginx.head, 200, &page, question.to_head, &mut nginx.stream).await?;
    nginx.frames.flush(&mut nginx.stream).await
}
