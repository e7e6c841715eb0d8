//! One request, from its head to the end of its answer: the stages joined.
//!
//! route → restart files → checkout → connection → forward beside reply → keep or close. Each stage is a file of its
//! own; what is decided here is only what a failure at each of them means.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use protocol::frame::{FrameHeader, FrameType, HEADER_LEN};
use protocol::request::{AppKind, BodyLength, Request};
use protocol::response::AbortReason;
use protocol::{PayloadError, pairs};
use tracing::{info, warn};

use super::app::{http, session};
use super::connection::{After, Nginx};
use super::dispatch::{Lease, Refused};
use super::forward::body::{Body, BodyError, Framing};
use super::input::{Input, SMALL};
use super::reply::page::Page;
use super::reply::relay::{Complete, Relay, RelayError};
use super::reply::{Origin, tunnel};
use super::route::Route;
use super::wiring::Router;
use crate::sys::stream::Stream;

/// How often a request may meet a process that ends before it has read anything of it.
const MAX_ATTEMPTS: usize = 5;
/// How long the rest of a request that was answered early may take to come, or nginx to close the connection.
const LINGER: Duration = Duration::from_secs(5);
/// While a request waits, no more of what nginx sends is read than this, in bytes; a body stays with nginx.
const ENOUGH: usize = 64 * 1024;

/// What is known of a request once its head has gone to the app's buffer.
struct Facts {
    route: Rc<Route>,
    to_head_request: bool,
    upgrade: bool,
    /// Sending it twice is as good as once, and it has no body.
    repeatable: bool,
    sent_json: bool,
    https: bool,
    /// The process that served the client before, for sticky sessions.
    sticky: Option<u32>,
}

/// Why a conversation with an app broke off.
enum Broken {
    /// The app's connection was closed before the request could be written: it has read nothing.
    NotTaken(io::Error),
    /// The request's side failed.
    Request(BodyError),
    /// The answer's side failed.
    Answer(RelayError),
}

/// One of several attempts.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// How long the request has waited.
    waited: Duration,
    /// Another attempt may follow.
    may_repeat: bool,
}

/// How an attempt at a process ended.
enum Attempt {
    /// With an answer, or with a failure that was answered.
    Over(After),
    /// The process was gone before it could read anything: another may take the request.
    Again(String),
}

/// Serves the request whose frame is at the front of the input and ends at `payload_end`.
///
/// # Errors
///
/// When the frame is no request. The connection cannot be used further.
pub(crate) async fn run(
    router: &Rc<Router>,
    nginx: &mut Nginx<'_>,
    payload_end: usize,
) -> Result<After, PayloadError> {
    let request = Request::decode(&nginx.input.unread()[HEADER_LEN..payload_end])?;
    let route = router.routes.find(&request, &router.dispatcher)?;
    let mut body = Body::new(request.head.body, unsized_framing(route.kind));
    let facts = Facts::of(&request, route);
    nginx.to_app.clear();
    write_head(&request, &facts.route, &mut nginx.to_app);
    nginx.line.clear();
    write_line(&request, &mut nginx.line);
    nginx.input.consume(payload_end);
    nginx.frames.hides_version = !router.globals.show_version();

    let _counted = router.dispatcher.count_request();
    router.restarts.look(&facts.route, &router.dispatcher).await;
    Ok(attempt_until_over(router, nginx, &facts, &mut body).await)
}

async fn attempt_until_over(router: &Router, nginx: &mut Nginx<'_>, facts: &Facts, body: &mut Body) -> After {
    let arrived = Instant::now();
    for attempts_left in (0..MAX_ATTEMPTS).rev() {
        let lease = match checkout(router, nginx, facts).await {
            Some(Ok(lease)) => lease,
            Some(Err(refused)) => return refuse(nginx, facts, body, &refused).await,
            None => return After::Close,
        };
        let pid = lease.worker.record.pid;
        let turn = Turn { waited: arrived.elapsed(), may_repeat: attempts_left > 0 };
        match attempt(router, nginx, facts, body, lease, turn).await {
            Attempt::Over(after) => return after,
            Attempt::Again(why) => {
                info!("app {}: process {pid} did not take a request ({why}): trying again", facts.route.name);
            }
        }
    }
    After::Close
}

/// A process for the request; `None` when its client went away while it waited.
async fn checkout(router: &Router, nginx: &mut Nginx<'_>, facts: &Facts) -> Option<Result<Lease, Refused>> {
    tokio::select! {
        biased;
        lease = router.dispatcher.checkout(facts.route.group, facts.sticky) => Some(lease),
        () = gone(nginx.stream, &mut nginx.input) => None,
    }
}

/// Sends the request to one process and its answer to nginx.
async fn attempt(
    router: &Router,
    nginx: &mut Nginx<'_>,
    facts: &Facts,
    body: &mut Body,
    lease: Lease,
    turn: Turn,
) -> Attempt {
    let Turn { waited, may_repeat } = turn;
    let (app, used_before) = match lease.worker.connection().await {
        Ok(connection) => connection,
        Err(err) => {
            router.dispatcher.detach_slot(lease.worker.slot);
            let why = format!("it takes no connection: {err}");
            return if may_repeat {
                Attempt::Again(why)
            } else {
                Attempt::Over(broken_off(nginx, facts, body, lease.worker.record.pid, &why).await)
            };
        }
    };
    let pid = lease.worker.record.pid;
    stick(&mut nginx.frames.added, facts, lease.worker.sticky_number);
    let speaks_session = lease.worker.speaks_session();
    let mut relay =
        Relay::new(speaks_session, facts.to_head_request, facts.upgrade, pid.unsigned_abs(), waited);
    let ended = converse(nginx, &app, body, &mut relay).await;
    let unheard = !relay.heard && may_repeat;
    match ended {
        Err(Broken::NotTaken(err)) if unheard => Attempt::Again(err.to_string()),
        // An app that closed its idle connection at this very moment. Only what may be repeated is.
        Err(Broken::Answer(err))
            if unheard && used_before && facts.repeatable && !lease.worker.speaks_session() =>
        {
            Attempt::Again(err.to_string())
        }
        Ok(complete) => Attempt::Over(finish(nginx, body, &relay, app, lease, complete).await),
        Err(broken) => Attempt::Over(give_up(nginx, facts, body, &relay, lease, app, broken).await),
    }
}

/// Leads the client's next requests to this process, if its cookie does not do so already.
fn stick(added: &mut Vec<u8>, facts: &Facts, number: u32) {
    added.clear();
    if let Some(sticky) = &facts.route.settings.sticky
        && facts.sticky != Some(number)
    {
        let cookie = sticky.cookie(number, &facts.route.base_uri, facts.https);
        pairs::put(added, b"Set-Cookie", cookie.as_bytes());
    }
}

/// Forwards the body and relays the answer, at the same time.
async fn converse(
    nginx: &mut Nginx<'_>,
    app: &Stream,
    body: &mut Body,
    relay: &mut Relay,
) -> Result<Complete, Broken> {
    let Nginx { stream, input, frames, to_app, from_app, head, .. } = nginx;
    let stream: &Stream = stream;
    let request = async {
        match body.send(&mut &*stream, input, &mut &*app, to_app).await {
            Ok(()) => gone(stream, input).await,
            Err(BodyError::App { err, first: true }) => return Broken::NotTaken(err),
            // The app may have answered without reading it all: the answer's side will tell.
            Err(BodyError::App { .. }) => std::future::pending().await,
            Err(err) => return Broken::Request(err),
        }
        Broken::Request(BodyError::ClientGone)
    };
    from_app.clear();
    let (mut writer, mut app_reader) = (stream, app);
    let answer = relay.run(&mut app_reader, from_app, &mut writer, frames, head);
    tokio::select! {
        biased;
        broken = request => Err(broken),
        complete = answer => complete.map_err(Broken::Answer),
    }
}

/// Resolves when nginx has closed the connection or cancels the request. What else it sends stays in the input.
async fn gone(mut stream: &Stream, input: &mut Input) {
    loop {
        if matches!(FrameHeader::decode(input.unread()), Ok(Some(header)) if header.kind == FrameType::Cancel)
        {
            return;
        }
        if input.unread().len() >= ENOUGH {
            std::future::pending::<()>().await;
        }
        if input.fill(&mut stream, SMALL).await.map_or(true, |came| came == 0) {
            return;
        }
    }
}

/// After a complete answer: keeps what can be kept.
async fn finish(
    nginx: &mut Nginx<'_>,
    body: &mut Body,
    relay: &Relay,
    app: Stream,
    lease: Lease,
    complete: Complete,
) -> After {
    if complete == Complete::Tunnel {
        if nginx.frames.flush(&mut nginx.stream).await.is_err() {
            return After::Close;
        }
        let Nginx { stream, input, from_app, .. } = nginx;
        tunnel::run(tunnel::Side { stream, input }, tunnel::Side { stream: &app, input: from_app }).await;
        return After::Close;
    }
    if body.is_delivered() && relay.decoder.is_reusable() && nginx.from_app.is_empty() {
        app.relax();
        lease.worker.keep(app);
    }
    drop(lease);
    // Who waited for this process writes to it before nginx is written to: it works meanwhile.
    behind_those_ready().await;
    if nginx.frames.flush(&mut nginx.stream).await.is_err() {
        return After::Close;
    }
    nginx.stream.relax();
    after(nginx, body).await
}

/// Lets every task that is ready run first. Unlike tokio's `yield_now`, does not ask the kernel for more in between.
async fn behind_those_ready() {
    let mut behind = false;
    poll_fn(|cx| {
        if mem::replace(&mut behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether nginx's connection can take another request: it can once the request at hand has come to its end.
async fn after(nginx: &mut Nginx<'_>, body: &mut Body) -> After {
    if body.is_done() {
        return After::Keep;
    }
    let rest = body.discard(&mut nginx.stream, &mut nginx.input);
    if tokio::time::timeout(LINGER, rest).await == Ok(true) { After::Keep } else { After::Close }
}

/// After a failure: tells the visitor what can still be told, and the log.
async fn give_up(
    nginx: &mut Nginx<'_>,
    facts: &Facts,
    body: &mut Body,
    relay: &Relay,
    lease: Lease,
    app: Stream,
    broken: Broken,
) -> After {
    drop(app);
    let pid = lease.worker.record.pid;
    let why = match broken {
        Broken::Request(BodyError::ClientGone) | Broken::Answer(RelayError::Nginx(_)) => {
            release_when_free(lease);
            return After::Close;
        }
        Broken::NotTaken(err) => format!("it does not take the request: {err}"),
        Broken::Request(err) => err.to_string(),
        Broken::Answer(err) => err.to_string(),
    };
    release_when_free(lease);
    if !relay.begun {
        return broken_off(nginx, facts, body, pid, &why).await;
    }
    log_failure(nginx, facts, pid, &why);
    nginx.frames.abort(AbortReason::AppClosed, &format!("app {}: {why}", facts.route.name));
    // nginx closes the connection on an abort, so that the visitor sees that something is missing.
    drop(nginx.frames.flush(&mut nginx.stream).await);
    After::Close
}

/// A loader whose client has gone may still work on the request. Its session ends when it takes a new connection.
fn release_when_free(lease: Lease) {
    if !lease.worker.speaks_session() {
        return;
    }
    tokio::task::spawn_local(async move {
        if let Ok(stream) = lease.worker.connect().await {
            lease.worker.keep(stream);
        }
    });
}

async fn broken_off(nginx: &mut Nginx<'_>, facts: &Facts, body: &mut Body, pid: i32, why: &str) -> After {
    log_failure(nginx, facts, pid, why);
    show(nginx, facts, body, &Page::incomplete()).await
}

async fn refuse(nginx: &mut Nginx<'_>, facts: &Facts, body: &mut Body, refused: &Refused) -> After {
    let line = String::from_utf8_lossy(&nginx.line);
    warn!("app {}: refused {line}: {refused}", facts.route.name);
    let page = Page::refused(refused, facts.route.settings.queue_full_status);
    show(nginx, facts, body, &page).await
}

/// Answers with a page of the daemon's own.
async fn show(nginx: &mut Nginx<'_>, facts: &Facts, body: &mut Body, page: &Page) -> After {
    nginx.frames.added.clear();
    let (content_type, content) = page.body(facts.sent_json);
    page.fill(&mut nginx.head, content_type, content.len());
    let length = nginx.head.body_length(facts.to_head_request);
    let bodiless = length == BodyLength::None;
    let written = async {
        if nginx.frames.head(&nginx.head, length, bodiless, Origin::default()).is_ok() && !bodiless {
            nginx.frames.body(&content, true, &mut nginx.stream).await?;
        }
        nginx.frames.flush(&mut nginx.stream).await
    };
    let written: io::Result<()> = written.await;
    if written.is_ok() { after(nginx, body).await } else { After::Close }
}

fn log_failure(nginx: &Nginx<'_>, facts: &Facts, pid: i32, why: &str) {
    let line = String::from_utf8_lossy(&nginx.line);
    warn!("app {}: process {pid} did not answer {line}: {why}", facts.route.name);
}

fn write_head(request: &Request<'_>, route: &Route, out: &mut Vec<u8>) {
    match route.kind {
        AppKind::Ruby | AppKind::Python => session::write_request(request, &route.settings.env, out),
        AppKind::Node | AppKind::Meteor | AppKind::Generic => http::write_request(request, out),
    }
}

/// `GET /path`, for the log.
fn write_line(request: &Request<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.head.method);
    out.push(b' ');
    out.extend_from_slice(request.head.uri);
}

fn unsized_framing(kind: AppKind) -> Framing {
    match kind {
        AppKind::Ruby | AppKind::Python => Framing::SessionChunks,
        AppKind::Node | AppKind::Meteor | AppKind::Generic => Framing::HttpChunks,
    }
}

impl Facts {
    fn of(request: &Request<'_>, route: Rc<Route>) -> Self {
        let head = &request.head;
        let sticky = route.settings.sticky.as_ref().and_then(|sticky| sticky.asked(request));
        let json = request.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/json"));
        Self {
            route,
            to_head_request: head.method == b"HEAD",
            upgrade: head.upgrade,
            repeatable: head.body == BodyLength::None
                && matches!(head.method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE"),
            sent_json: json,
            https: head.https,
            sticky,
        }
    }
}
