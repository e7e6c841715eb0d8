//! `passenger_pre_start`: this nginx requests each URL itself, so that its application starts before the first client's
//! request. Failures are logged.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::rc::Rc;

use module_core::pre_start::{STATUS_LINE, Url, status};

use crate::ffi::log::{self, Level};
use crate::ffi::process::client_connection;
use crate::ffi::process::client_connection::{CloseReason, ConnectionHandler, Options};
use crate::ffi::process::peer::Peer;
use crate::ffi::process::timer;

/// Options many URLs are requested at a time.
const AT_ONCE: usize = 4;

/// Delay before the first request, in milliseconds. While nginx reloads, its old workers accept connections for another
/// 100 milliseconds: one that accepted such a request could not exit before the application has started.
const SETTLING: usize = 500;

/// Time limit of a request: ten minutes, in milliseconds. An application, which has its own limit, may start slowly.
const PATIENCE: usize = 600_000;

/// The pre-start requests of this worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visits(Rc<RefCell<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Rc<Url>>,
    under_way: usize,
}

impl Visits {
    /// Requests all of the URLs after [`SETTLING`].
    pub(crate) fn begin(&self, urls: &Rc<[Rc<Url>]>) {
        if !urls.is_empty() {
            let (visits, urls) = (self.clone(), Rc::clone(urls));
            timer::after(SETTLING, move || visits.enqueue(&urls));
        }
    }

    /// Adds the URLs to the queue, except those that are in it.
    fn enqueue(&self, urls: &[Rc<Url>]) {
        for url in urls {
            let waiting = &mut self.0.borrow_mut().waiting;
            if !waiting.contains(url) {
                waiting.push_back(Rc::clone(url));
            }
        }
        self.go_on();
    }

    fn go_on(&self) {
        while let Some(url) = self.next() {
            visit(self.clone(), url);
        }
    }

    fn next(&self) -> Option<Rc<Url>> {
        let mut queue = self.0.borrow_mut();
        if queue.under_way >= AT_ONCE {
            return None;
        }
        let url = queue.waiting.pop_front()?;
        queue.under_way += 1;
        Some(url)
    }

    fn came_back(&self) {
        self.0.borrow_mut().under_way -= 1;
    }
}

/// One pre-start request.
struct Visit {
    url: Rc<Url>,
    visits: Visits,
    /// The first bytes of the response.
    answer: Vec<u8>,
}

fn visit(visits: Visits, url: Rc<Url>) {
    let Some(peer) = Peer::parse(&url.address()) else {
        complain(&url, &format!("{} is no address that nginx can connect to", url.address()));
        visits.came_back();
        return;
    };
    let tls = url.is_https().then(|| url.server_name().map(str::to_owned));
    let how = Options { tls, within: Some(PATIENCE) };
    client_connection::open(&Rc::new(peer), how, Box::new(Visit { url, visits, answer: Vec::new() }));
}

impl ConnectionHandler for Visit {
    fn on_connect(&mut self) -> Vec<u8> {
        self.url.request()
    }

    fn on_data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let missing = STATUS_LINE.saturating_sub(self.answer.len());
        self.answer.extend(bytes.iter().take(missing));
        ControlFlow::Continue(())
    }

    fn on_close(self: Box<Self>, why: CloseReason) {
        if let Some(complaint) = self.complaint(&why) {
            complain(&self.url, &complaint);
        }
        self.visits.came_back();
        self.visits.go_on();
    }
}

impl Visit {
    fn complaint(&self, why: &CloseReason) -> Option<String> {
        let address = self.url.address();
        match (why, status(&self.answer)) {
            (_, Some(status)) if status >= 400 => Some(format!(
                "the answer's status is {status}; is this the name of a server with passenger_enabled on, and what do \
                 the application's own lines in flying-passenger's log say?"
            )),
            (_, Some(_)) => None,
            (CloseReason::Unreachable(err), None) => Some(format!(
                "there is no connection to {address} ({err}); does a server of this nginx listen there?"
            )),
            (CloseReason::NoTls, None) => Some(format!(
                "there is no TLS on the connection to {address}; does the server listen there with ssl?"
            )),
            (CloseReason::TooLate, None) => {
                Some("there was no answer within ten minutes; does the application answer?".into())
            }
            (CloseReason::Closed | CloseReason::Finished, None) => Some(format!(
                "{address} closed the connection without an answer; what does this log say of the request?"
            )),
        }
    }
}

fn complain(url: &Url, what: &str) {
    log::of_process().write(Level::Warn, format_args!("passenger_pre_start {url}: {what}"));
}
