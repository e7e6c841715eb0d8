//! One request, whatever its version of HTTP: a public file, an application, or an error page.

pub(crate) mod error_page;
pub(crate) mod response;

use std::io;
use std::sync::Arc;

use tracing::{debug, error, warn};

use crate::daemon::exchange::{self, Exchange, ExchangeError};
use crate::gate::Gate;
use crate::public_files;
use crate::request::encode::{Destination, frame};
use crate::request::forwarded::{self, Client, Peer};
use crate::request::{Head, Refused};
use crate::sites::{Located, Site};
use error_page::ErrorPage;
use response::{RequestBody, Responder};

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Served {
    /// The response is complete.
    Complete,
    /// The connection is a tunnel to the application from now on.
    Tunnel(exchange::Tunnel),
    /// The response cannot be completed, or nobody waits for it.
    Broken,
}

/// Serves a request.
pub(crate) async fn serve<B: RequestBody, R: Responder>(
    gate: &Arc<Gate>,
    peer: Peer,
    head: &Head,
    body: &mut B,
    responder: &mut R,
) -> Served {
    let configuration = gate.configuration();
    let client = forwarded::client(peer, head, &configuration.trusted_proxies, configuration.forwarded_host);
    if client.ignored && gate.warns_of_proxy() {
        let name = client.address.map_or_else(|| "a unix socket".to_owned(), |address| address.to_string());
        warn!(
            "ignored X-Forwarded-Proto of {name}: it is not in trusted_proxies; if it is a proxy of yours, add it to \
             trusted_proxies in [gate]"
        );
    }
    let host = client.host.as_deref().map_or_else(|| head.host_name(), crate::request::without_port);
    let Some(site) = configuration.sites.find(host, &head.path) else {
        debug!("no application is configured for host \"{}\"", host.escape_ascii());
        return page(&ErrorPage::no_site(), head, responder).await;
    };
    let response = match public_files::find(&site, head).await {
        Ok(None) => return forward(gate, &site, head, &client, body, responder).await,
        Ok(Some(file)) => file,
        Err(problem) => {
            error!("cannot check the public files of {}: {problem}", site.root_name());
            return page(&ErrorPage::unavailable(), head, responder).await;
        }
    };
    ended(public_files::send(response, head, responder).await)
}

async fn forward<B: RequestBody, R: Responder>(
    gate: &Gate,
    site: &Site,
    head: &Head,
    client: &Client,
    body: &mut B,
    responder: &mut R,
) -> Served {
    let app = match site.locate().await {
        Located::App(app) => app,
        Located::NoApp => {
            error!(
                "no application is found in {}: deploy it, or configure app_type or app_start_command",
                site.root_name()
            );
            return page(&ErrorPage::no_app(), head, responder).await;
        }
        Located::Failed(problem) => {
            error!("{problem}");
            return page(&ErrorPage::internal(), head, responder).await;
        }
    };
    let to = Destination {
        app: site.app_ref(&app),
        settings: &site.settings,
        base_uri: &site.base_uri,
        public: &site.public_bytes,
    };
    let frame = match frame(head, client, to) {
        Ok(frame) => frame,
        Err(problem) => {
            error!("cannot pass a request on: {problem}");
            return page(&ErrorPage::of_status(431), head, responder).await;
        }
    };
    let exchange = Exchange { head, frame };
    match exchange::run(&gate.daemon, exchange, body, responder).await {
        Ok(exchange::Done::Complete) => Served::Complete,
        Ok(exchange::Done::Tunnel(tunnel)) => Served::Tunnel(tunnel),
        Err(ExchangeError::Client(problem)) => {
            debug!("the client of a request left: {problem}");
            Served::Broken
        }
        Err(ExchangeError::Refused(refused)) => refuse(refused, responder).await,
        Err(ExchangeError::Daemon(problem)) => {
            error!("{} {}: {problem}", head.method.escape_ascii(), head.target.escape_ascii());
            page(&ErrorPage::bad_gateway(), head, responder).await
        }
    }
}

/// Sends an error page, unless a response has begun.
async fn page<R: Responder>(page: &ErrorPage, head: &Head, responder: &mut R) -> Served {
    if responder.has_begun() {
        return Served::Broken;
    }
    ended(page.send(head.is_head(), responder).await)
}

/// Sends the page of a refused request, unless a response has begun.
pub(crate) async fn refuse<R: Responder>(refused: Refused, responder: &mut R) -> Served {
    debug!("refused a request with status {}: {}", refused.status, refused.why);
    if responder.has_begun() {
        return Served::Broken;
    }
    responder.close_after();
    ended(ErrorPage::of_status(refused.status).send(false, responder).await)
}

fn ended(sent: io::Result<()>) -> Served {
    match sent {
        Ok(()) => Served::Complete,
        Err(problem) => {
            debug!("cannot send a response: {problem}");
            Served::Broken
        }
    }
}
