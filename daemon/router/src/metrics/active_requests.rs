//! Requests in flight: each connection from nginx has a request slot with its request and the phase of that request,
//! for administrators.
//!
//! It costs a request a few stores; a connection that has served requests before allocates no memory for it.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Instant;

use serde::Serialize;

use crate::app::route::Route;
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
pub(crate) struct RequestSlot {
    phase: Cell<Phase>,
    began: Cell<Instant>,
    entered: Cell<Instant>,
    pid: Cell<i32>,
    route: RefCell<Option<Rc<Route>>>,
    line: RefCell<Vec<u8>>,
    client: RefCell<Vec<u8>>,
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
pub(crate) struct ActiveRequests(RefCell<Vec<Weak<RequestSlot>>>);

impl ActiveRequests {
    /// Creates the slot of a new connection; it is removed with its last reference.
    pub(crate) fn open(&self) -> Rc<RequestSlot> {
        let now = Instant::now();
        let slot = Rc::new(RequestSlot {
            phase: Cell::new(Phase::Idle),
            began: Cell::new(now),
            entered: Cell::new(now),
            pid: Cell::new(0),
            route: RefCell::default(),
            line: RefCell::default(),
            client: RefCell::default(),
        });
        let mut all = self.0.borrow_mut();
        if all.len() == all.capacity() {
            all.retain(|slot| slot.strong_count() > 0);
        }
        all.push(Rc::downgrade(&slot));
        slot
    }

    /// Returns all requests in flight, the oldest first.
    pub(crate) fn snapshot(&self) -> Vec<RequestSnapshot> {
        let mut all = self.0.borrow_mut();
        all.retain(|slot| slot.strong_count() > 0);
        let mut snapshots: Vec<_> =
            all.iter().filter_map(Weak::upgrade).filter_map(|slot| slot.snapshot()).collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.age_ms));
        snapshots
    }
}

impl RequestSlot {
    /// Enters a request that arrived `now`, until the result is dropped.
    pub(crate) fn begin(
        &self,
        route: &Rc<Route>,
        line: &[u8],
        client: &[u8],
        now: Instant,
    ) -> ActiveRequest<'_> {
        *self.route.borrow_mut() = Some(route.clone());
        store(&self.line, line);
        store(&self.client, client);
        self.began.set(now);
        self.phase.set(Phase::Queued);
        self.entered.set(now);
        ActiveRequest(self)
    }

    /// Sets the phase.
    pub(crate) fn enter(&self, phase: Phase) {
        if self.phase.replace(phase) != phase {
            self.entered.set(Instant::now());
        }
    }

    /// Records the process that the request is sent to.
    pub(crate) fn send_to(&self, pid: i32, now: Instant) {
        self.pid.set(pid);
        self.phase.set(Phase::Sending);
        self.entered.set(now);
    }

    /// Records that the process has received the whole request.
    pub(crate) fn sent(&self) {
        if self.phase.get() == Phase::Sending {
            self.enter(Phase::App);
        }
    }

    fn snapshot(&self) -> Option<RequestSnapshot> {
        let phase = self.phase.get();
        let route = self.route.borrow().clone().filter(|_| phase != Phase::Idle)?;
        let line = self.line.borrow();
        let line = String::from_utf8_lossy(&line);
        let (method, path) = line.split_once(' ').unwrap_or((&line, ""));
        let elapsed_ms = |since: &Cell<Instant>| u64::try_from(since.get().elapsed().as_millis());
        Some(RequestSnapshot {
            group: route.group,
            app: route.name.clone(),
            pid: (phase != Phase::Queued).then(|| self.pid.get()),
            method: method.to_owned(),
            path: path.to_owned(),
            client: String::from_utf8_lossy(&self.client.borrow()).into_owned(),
            phase,
            age_ms: elapsed_ms(&self.began).unwrap_or(u64::MAX),
            phase_ms: elapsed_ms(&self.entered).unwrap_or(u64::MAX),
        })
    }
}

fn store(buffer: &RefCell<Vec<u8>>, bytes: &[u8]) {
    let mut buffer = buffer.borrow_mut();
    buffer.clear();
    buffer.extend_from_slice(&bytes[..bytes.len().min(MAX_LINE)]);
}

/// A request that occupies its connection's slot.
#[derive(Debug)]
pub(crate) struct ActiveRequest<'d>(&'d RequestSlot);

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Idle);
        // An idle connection must not keep the route of a removed app alive.
        self.0.route.borrow_mut().take();
    }
}
