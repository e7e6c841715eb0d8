//! Requests in flight: each connection from nginx has a request slot with its request and the phase of that request,
//! for administrators.
//!
//! It costs a request a few stores; a connection that has served requests before allocates no memory for it.

use std::sync::{Arc, Weak};
use std::time::Instant;

use serde::Serialize;

use crate::app::route::Route;
use crate::lock::Lock;
use crate::pool::GroupId;

/// Maximum number of bytes of a request line that are kept.
const MAX_LINE: usize = 1024;

/// The phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// There is no request.
    Idle,
    /// It waits for a process.
    Queued,
    /// It is being sent to the process, including its body.
    Sending,
    /// The process handles it.
    App,
    /// Its response is being relayed, or it has become a tunnel.
    Responding,
}

/// The request of one connection.
#[derive(Debug)]
pub(crate) struct RequestSlot(Lock<Details>);

#[derive(Debug)]
struct Details {
    phase: Phase,
    began: Instant,
    entered: Instant,
    pid: i32,
    route: Option<Arc<Route>>,
    line: Vec<u8>,
    client: Vec<u8>,
}

/// A request as shown to administrators.
#[derive(Debug, Serialize)]
pub(crate) struct RequestSnapshot {
    /// The group of its app.
    #[serde(skip)]
    pub(crate) group: GroupId,
    pub(crate) app: String,
    /// The PID of the process; `None` while it waits for one.
    pid: Option<i32>,
    method: String,
    /// With the query; at most 1,024 bytes including the method.
    path: String,
    /// The client's address, according to nginx.
    client: String,
    pub(crate) phase: Phase,
    /// Milliseconds since the request arrived.
    age_ms: u64,
    /// Milliseconds since the current phase began.
    phase_ms: u64,
}

/// The request slots of all connections.
#[derive(Debug, Default)]
pub(crate) struct ActiveRequests(Lock<Vec<Weak<RequestSlot>>>);

impl ActiveRequests {
    /// Creates the slot of a new connection; it is removed with its last reference.
    pub(crate) fn open(&self) -> Arc<RequestSlot> {
        let now = Instant::now();
        let slot = Arc::new(RequestSlot(Lock::new(Details {
            phase: Phase::Idle,
            began: now,
            entered: now,
            pid: 0,
            route: None,
            line: Vec::new(),
            client: Vec::new(),
        })));
        let mut all = self.0.lock();
        if all.len() == all.capacity() {
            all.retain(|slot| slot.strong_count() > 0);
        }
        all.push(Arc::downgrade(&slot));
        slot
    }

    /// Returns all requests in flight, the oldest first.
    pub(crate) fn snapshot(&self) -> Vec<RequestSnapshot> {
        let mut all = self.0.lock();
        all.retain(|slot| slot.strong_count() > 0);
        let mut snapshots: Vec<_> =
            all.iter().filter_map(Weak::upgrade).filter_map(|slot| slot.0.lock().snapshot()).collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.age_ms));
        snapshots
    }
}

impl RequestSlot {
    /// Enters a request that arrived `now`, until the result is dropped.
    pub(crate) fn begin(
        &self,
        route: &Arc<Route>,
        line: &[u8],
        client: &[u8],
        now: Instant,
    ) -> ActiveRequest<'_> {
        let mut details = self.0.lock();
        details.route = Some(route.clone());
        store(&mut details.line, line);
        store(&mut details.client, client);
        details.began = now;
        details.set(Phase::Queued, now);
        ActiveRequest(self)
    }

    /// Sets the phase.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut details = self.0.lock();
        if details.phase != phase {
            details.set(phase, Instant::now());
        }
    }

    /// Records the process that the request is sent to.
    pub(crate) fn send_to(&self, pid: i32, now: Instant) {
        let mut details = self.0.lock();
        details.pid = pid;
        details.set(Phase::Sending, now);
    }

    /// Records that the process has received the whole request.
    pub(crate) fn sent(&self) {
        let mut details = self.0.lock();
        if details.phase == Phase::Sending {
            details.set(Phase::App, Instant::now());
        }
    }
}

impl Details {
    fn set(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.entered = now;
    }

    fn snapshot(&self) -> Option<RequestSnapshot> {
        let route = self.route.as_ref().filter(|_| self.phase != Phase::Idle)?;
        let line = String::from_utf8_lossy(&self.line);
        let (method, path) = line.split_once(' ').unwrap_or((&line, ""));
        let elapsed_ms = |since: Instant| u64::try_from(since.elapsed().as_millis());
        Some(RequestSnapshot {
            group: route.group,
            app: route.name.clone(),
            pid: (self.phase != Phase::Queued).then_some(self.pid),
            method: method.to_owned(),
            path: path.to_owned(),
            client: String::from_utf8_lossy(&self.client).into_owned(),
            phase: self.phase,
            age_ms: elapsed_ms(self.began).unwrap_or(u64::MAX),
            phase_ms: elapsed_ms(self.entered).unwrap_or(u64::MAX),
        })
    }
}

fn store(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(&bytes[..bytes.len().min(MAX_LINE)]);
}

/// A request that occupies its connection's slot.
#[derive(Debug)]
pub(crate) struct ActiveRequest<'d>(&'d RequestSlot);

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        let mut details = self.0.0.lock();
        details.phase = Phase::Idle;
        // An idle connection must not keep the route of a removed app alive.
        details.route = None;
    }
}
