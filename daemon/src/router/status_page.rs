//! The status page for nginx: a question from a location with `passenger_status` comes in, frames of an answer go out.
//!
//! However many look, the pool is looked at a few times a second only: what one was told, the next is told again.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::request::BodyLength;
use protocol::status::{StatusPart, StatusQuestion};

use super::admin;
use super::admin::page::{self, Shown};
use super::app::reply::{Head, ReplyError};
use super::connection::Nginx;
use super::reply::{Origin, reason_phrase};
use super::wiring::Router;

/// How old what is told may be. The page asks once a second.
const FRESH: Duration = Duration::from_millis(400);

/// What was told last, and since when this router counts.
#[derive(Debug)]
pub(crate) struct Board {
    began: Instant,
    told: RefCell<Option<(Instant, Rc<Shown>)>>,
}

impl Board {
    /// Nothing was told yet.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), told: RefCell::default() }
    }

    /// How long this router has been there.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn data(&self, router: &Router) -> Rc<Shown> {
        let mut told = self.told.borrow_mut();
        if let Some((_, shown)) = told.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return shown.clone();
        }
        let shown = Rc::new(page::data_for_nginx(router));
        *told = Some((Instant::now(), shown.clone()));
        shown
    }
}

/// Answers a question. An error means that the connection cannot be used further.
pub(super) async fn answer(
    router: &Router,
    nginx: &mut Nginx<'_>,
    question: StatusQuestion,
) -> io::Result<()> {
    let shown = match question.part {
        StatusPart::Page => Rc::new(page::html()?),
        StatusPart::Data => {
            router.usages.look(&router.dispatcher).await;
            router.board.data(router)
        }
        StatusPart::Metrics => {
            router.usages.look(&router.dispatcher).await;
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

fn fill(head: &mut Head, shown: &Shown) -> Result<(), ReplyError> {
    head.begin(200, reason_phrase(200).as_bytes())?;
    head.header(b"Content-Type", shown.content_type.as_bytes())?;
    for (name, value) in &shown.headers {
        head.header(name.as_bytes(), value.as_bytes())?;
    }
    head.header(b"Content-Length", shown.body.len().to_string().as_bytes())
}
