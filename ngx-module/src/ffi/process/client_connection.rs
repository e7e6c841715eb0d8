//! Connections that the worker opens: nginx's event loop runs a [`ConnectionHandler`] with an address.
//!
//! This module does not depend on the content. A worker that shuts down closes such connections immediately: they are
//! marked as idle, their timers are cancelable, and [`close_all`] closes the others.

use core::ptr::NonNull;
use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::peer::Peer;
use super::timer;
use crate::ffi::codes::{AGAIN, OK};
use crate::ffi::guard::guard;
use crate::ffi::tls::{Handshake, Tls};
use crate::ffi::{log, sys};

/// The content of a connection.
pub(crate) trait ConnectionHandler {
    /// Called when the connection is established; returns the bytes to send.
    fn on_connect(&mut self) -> Vec<u8>;

    /// Called with received bytes. A break closes the connection.
    fn on_data(&mut self, bytes: &[u8]) -> ControlFlow<()>;

    /// Called when the connection is closed, unless the worker shuts down.
    fn on_close(self: Box<Self>, why: CloseReason);
}

/// Why a handler ended.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The connection could not be established.
    Unreachable(io::Error),
    /// TLS could not be established.
    NoTls,
    /// The other side closed it, or it broke.
    Closed,
    /// The time limit was exceeded.
    TooLate,
    /// The handler returned [`ControlFlow::Break`].
    Finished,
}

/// Options of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Whether to use TLS, and for which server name.
    pub tls: Option<Option<String>>,
    /// Time limit in milliseconds, after which the connection is closed.
    pub within: Option<usize>,
}

/// A connection that is being or has been established. nginx's connection refers to it.
struct ClientConnection {
    connection: NonNull<sys::ngx_connection_t>,
    /// nginx may refer to the address.
    _peer: Rc<Peer>,
    how: Options,
    tls: Option<Tls>,
    /// Whether the other side is known to accept the connection.
    is_reached: bool,
    is_open: bool,
    to_send: Vec<u8>,
    sent: usize,
    handler: Box<dyn ConnectionHandler>,
}

thread_local! {
    static OPEN: RefCell<Vec<NonNull<ClientConnection>>> = const { RefCell::new(Vec::new()) };
}

/// The result of a step.
enum Step {
    /// nginx calls back.
    Wait,
    /// The handler has ended.
    Close(CloseReason),
}

/// Connects and runs the handler.
pub(crate) fn open(peer: &Rc<Peer>, how: Options, handler: Box<dyn ConnectionHandler>) {
    let (connection, is_established) = match connect(peer) {
        Ok(connected) => connected,
        Err(err) => return handler.on_close(CloseReason::Unreachable(err)),
    };
    let within = how.within;
    let client = ClientConnection {
        connection,
        _peer: Rc::clone(peer),
        how,
        tls: None,
        is_reached: is_established,
        is_open: false,
        to_send: Vec::new(),
        sent: 0,
        handler,
    };
    let client = NonNull::from(Box::leak(Box::new(client)));
    OPEN.with_borrow_mut(|open| open.push(client));
    // SAFETY: nginx has just given us this connection; it lives until `end` closes it.
    unsafe {
        let raw = connection.as_ptr();
        (*raw).data = client.as_ptr().cast();
        (*raw).set_idle(1);
        (*(*raw).read).set_cancelable(1);
        if let Some(milliseconds) = within {
            timer::set((*raw).read, milliseconds);
        }
        listen_to_events(raw);
        if is_established {
            run_step(client, ClientConnection::write);
        }
    }
}

/// Returns a connection, and whether it is already established.
fn connect(peer: &Peer) -> io::Result<(NonNull<sys::ngx_connection_t>, bool)> {
    let (address, len, mut name) = peer.raw();
    // SAFETY: nginx makes this plain structure by zeroing it.
    let mut to: sys::ngx_peer_connection_t = unsafe { core::mem::zeroed() };
    to.sockaddr = address;
    to.socklen = len;
    to.name = &raw mut name;
    to.get = Some(sys::ngx_event_get_peer);
    to.log = log::silent();
    // SAFETY: nginx's call; all it refers to outlives it, and the address the connection too.
    let connected = unsafe { sys::ngx_event_connect_peer(&raw mut to) };
    let err = io::Error::last_os_error();
    match (connected, NonNull::new(to.connection)) {
        (OK, Some(connection)) => Ok((connection, true)),
        (AGAIN, Some(connection)) => Ok((connection, false)),
        _ => Err(err),
    }
}

/// # Safety
///
/// The connection is one of ours.
unsafe fn listen_to_events(connection: *mut sys::ngx_connection_t) {
    // SAFETY: by this function's contract.
    unsafe {
        (*(*connection).read).handler = Some(on_read);
        (*(*connection).write).handler = Some(on_write);
    }
}

/// Runs a step, and closes the connection when that was the last one.
///
/// # Safety
///
/// `client` is in [`OPEN`], and no other step with it is being done: nginx calls no handler from within the functions
/// that steps call.
unsafe fn run_step(client: NonNull<ClientConnection>, step: impl FnOnce(&mut ClientConnection) -> Step) {
    // SAFETY: by this function's contract.
    let done = guard(log::of_process(), None, || Some(step(unsafe { &mut *client.as_ptr() })));
    match done {
        Some(Step::Wait) => {}
        Some(Step::Close(why)) => end(client, Some(why)),
        // An internal error, which is in the log.
        None => end(client, None),
    }
}

/// Closes the connection and passes the reason to the handler, unless the worker shuts down.
fn end(client: NonNull<ClientConnection>, why: Option<CloseReason>) {
    OPEN.with_borrow_mut(|open| open.retain(|other| *other != client));
    guard(log::of_process(), (), || {
        // SAFETY: leaked by `open`; with the connection goes the last that refers to it. `end` is called once for each.
        let client = unsafe { Box::from_raw(client.as_ptr()) };
        // SAFETY: ours, and open.
        unsafe { close(client.connection.as_ptr()) };
        if let Some(why) = why {
            client.handler.on_close(why);
        }
    });
}

/// # Safety
///
/// The connection is one of ours, and is not used again.
unsafe fn close(connection: *mut sys::ngx_connection_t) {
    // SAFETY: by this function's contract. nginx takes its events and their timers back.
    unsafe {
        Tls::end(connection);
        let pool = (*connection).pool;
        sys::ngx_close_connection(connection);
        if !pool.is_null() {
            sys::ngx_destroy_pool(pool);
        }
    }
}

/// Closes all open connections when the worker exits.
pub(in crate::ffi) fn close_all() {
    for client in OPEN.with_borrow(Clone::clone) {
        end(client, None);
    }
}

impl ClientConnection {
    /// Called when the connection may be established: starts TLS if configured, and sends.
    fn write(&mut self) -> Step {
        let raw = self.connection.as_ptr();
        if self.how.tls.is_some() && !self.is_open {
            return self.shake_hands();
        }
        if !self.is_open {
            self.is_open = true;
            self.to_send = self.handler.on_connect();
        }
        while let Some(rest) = self.to_send.get(self.sent..).filter(|rest| !rest.is_empty()) {
            // SAFETY: nginx's call on a connection that is ours and open; it only reads the bytes.
            let sent = unsafe {
                let Some(send) = (*raw).send else { return Step::Close(CloseReason::Closed) };
                send(raw, rest.as_ptr().cast_mut(), rest.len())
            };
            match usize::try_from(sent) {
                Ok(0) => break,
                Ok(sent) => {
                    self.sent += sent;
                    self.is_reached = true;
                }
                Err(_) if sent == AGAIN => break,
                Err(_) => return Step::Close(self.broken()),
            }
        }
        // SAFETY: nginx's call, as above.
        match unsafe { sys::ngx_handle_write_event((*raw).write, 0) } {
            OK => Step::Wait,
            _ => Step::Close(CloseReason::Closed),
        }
    }

    /// Returns why a call has failed: until the first byte is sent, the connection may never have been established.
    fn broken(&self) -> CloseReason {
        if self.is_reached {
            CloseReason::Closed
        } else {
            CloseReason::Unreachable(io::Error::last_os_error())
        }
    }

    fn shake_hands(&mut self) -> Step {
        let raw = self.connection.as_ptr();
        if self.tls.is_none() {
            let name = self.how.tls.clone().flatten();
            // SAFETY: ours and open. The pool is destroyed when the connection is closed.
            self.tls = unsafe {
                (*raw).pool = sys::ngx_create_pool(1024, log::silent());
                if (*raw).pool.is_null() { None } else { Tls::new(raw, name.as_deref()) }
            };
        }
        let Some(tls) = &self.tls else { return Step::Close(CloseReason::NoTls) };
        // SAFETY: the connection that was prepared.
        match unsafe { tls.shake_hands(raw, on_handshake) } {
            Handshake::GoesOn => Step::Wait,
            Handshake::Failed => Step::Close(CloseReason::NoTls),
            Handshake::Done => self.shaken(),
        }
    }

    /// Continues after a successful handshake.
    fn shaken(&mut self) -> Step {
        // SAFETY: ours and open; during the handshake nginx had put handlers of its own there.
        unsafe { listen_to_events(self.connection.as_ptr()) };
        self.is_reached = true;
        self.is_open = true;
        self.to_send = self.handler.on_connect();
        match self.write() {
            // Bytes received with the end of the handshake cause no event.
            Step::Wait => self.read(),
            over @ Step::Close(_) => over,
        }
    }

    /// Continues after nginx has finished the handshake.
    fn after_handshake(&mut self) -> Step {
        let raw = self.connection.as_ptr();
        // SAFETY: ours and open.
        let (too_late, is_done) = unsafe {
            ((*(*raw).read).timedout() != 0, self.tls.as_ref().is_some_and(|tls| tls.is_done(raw)))
        };
        match (too_late, is_done) {
            (true, _) => Step::Close(CloseReason::TooLate),
            (false, true) => self.shaken(),
            (false, false) => Step::Close(CloseReason::NoTls),
        }
    }

    /// Handles received bytes, the end of the connection, or its time limit.
    fn read(&mut self) -> Step {
        let raw = self.connection.as_ptr();
        // SAFETY: ours and open.
        if unsafe { (*(*raw).read).timedout() } != 0 {
            return Step::Close(CloseReason::TooLate);
        }
        let mut bytes = [0_u8; 4096];
        loop {
            // SAFETY: nginx's call on a connection that is ours and open, with room for so many bytes.
            let came = unsafe {
                let Some(receive) = (*raw).recv else { return Step::Close(CloseReason::Closed) };
                receive(raw, bytes.as_mut_ptr(), bytes.len())
            };
            match usize::try_from(came) {
                Ok(0) => return Step::Close(CloseReason::Closed),
                Ok(came) => {
                    let came = bytes.get(..came).unwrap_or_default();
                    if self.handler.on_data(came).is_break() {
                        return Step::Close(CloseReason::Finished);
                    }
                }
                Err(_) if came == AGAIN => break,
                Err(_) => return Step::Close(self.broken()),
            }
        }
        // SAFETY: nginx's call, as above.
        match unsafe { sys::ngx_handle_read_event((*raw).read, 0) } {
            OK => Step::Wait,
            _ => Step::Close(CloseReason::Closed),
        }
    }
}

/// Returns the [`ClientConnection`] of a connection.
///
/// # Safety
///
/// `connection` is one of ours.
unsafe fn of(connection: *mut sys::ngx_connection_t) -> Option<NonNull<ClientConnection>> {
    // SAFETY: by this function's contract; `open` put it there.
    NonNull::new(unsafe { (*connection).data }.cast())
}

/// # Safety
///
/// nginx's call, with the event of a connection of ours.
unsafe extern "C" fn on_read(event: *mut sys::ngx_event_t) {
    // SAFETY: by this function's contract. nginx calls this too to have an idle connection closed.
    unsafe {
        let connection = (*event).data.cast::<sys::ngx_connection_t>();
        let Some(client) = of(connection) else { return };
        if (*connection).close() != 0 {
            end(client, None);
        } else {
            run_step(client, ClientConnection::read);
        }
    }
}

/// # Safety
///
/// nginx's call, with the event of a connection of ours.
unsafe extern "C" fn on_write(event: *mut sys::ngx_event_t) {
    // SAFETY: by this function's contract.
    unsafe {
        if let Some(client) = of((*event).data.cast()) {
            run_step(client, ClientConnection::write);
        }
    }
}

/// # Safety
///
/// nginx's call, with a connection of ours.
unsafe extern "C" fn on_handshake(connection: *mut sys::ngx_connection_t) {
    // SAFETY: by this function's contract.
    unsafe {
        if let Some(client) = of(connection) {
            run_step(client, ClientConnection::after_handshake);
        }
    }
}
