//! Connections that the worker opens: nginx's event loop calls a [`ConnectionHandler`].
//!
//! A worker that shuts down closes such connections immediately: they are marked as idle, their events are cancelable,
//! and [`close_all`] closes the others.

use core::ptr::NonNull;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::peer::Peer;
use crate::ffi::codes::{AGAIN, OK};
use crate::ffi::guard::guard;
use crate::ffi::{log, sys};

/// The user of a connection.
pub(crate) trait ConnectionHandler {
    /// Called when the connection is established; returns the bytes to send.
    fn on_connect(&mut self) -> Vec<u8>;

    /// Called with received bytes. A break closes the connection.
    fn on_data(&mut self, bytes: &[u8]) -> ControlFlow<()>;

    /// Called when the connection is closed, unless the worker shuts down: whether it had been established.
    fn on_close(self: Box<Self>, was_established: bool);
}

/// A connection that is being or has been established. nginx's connection refers to it.
struct ClientConnection {
    connection: NonNull<sys::ngx_connection_t>,
    /// nginx may refer to the address.
    _peer: Rc<Peer>,
    /// Whether the other side is known to accept the connection.
    is_established: bool,
    /// The bytes to send, once the handler has returned them.
    to_send: Option<Vec<u8>>,
    sent: usize,
    handler: Box<dyn ConnectionHandler>,
}

thread_local! {
    static OPEN: RefCell<Vec<NonNull<ClientConnection>>> = const { RefCell::new(Vec::new()) };
}

/// Whether nginx calls back. A break closes the connection.
type Step = ControlFlow<()>;

/// Connects and calls the handler.
pub(crate) fn open(peer: &Rc<Peer>, handler: Box<dyn ConnectionHandler>) {
    let Some((connection, is_established)) = connect(peer) else {
        return handler.on_close(false);
    };
    let client = ClientConnection {
        connection,
        _peer: Rc::clone(peer),
        is_established,
        to_send: None,
        sent: 0,
        handler,
    };
    let client = NonNull::from(Box::leak(Box::new(client)));
    OPEN.with_borrow_mut(|open| open.push(client));
    // SAFETY: nginx has just given us this connection; it lives until `close` closes it.
    unsafe {
        let raw = connection.as_ptr();
        (*raw).data = client.as_ptr().cast();
        (*raw).set_idle(1);
        (*(*raw).read).set_cancelable(1);
        (*(*raw).read).handler = Some(on_read);
        (*(*raw).write).handler = Some(on_write);
        if is_established {
            run_step(client, ClientConnection::write);
        }
    }
}

/// Returns a connection, and whether it is already established.
fn connect(peer: &Peer) -> Option<(NonNull<sys::ngx_connection_t>, bool)> {
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
    let connection = NonNull::new(to.connection)?;
    [OK, AGAIN].contains(&connected).then_some((connection, connected == OK))
}

/// Runs a step, and closes the connection when that was the last one.
///
/// # Safety
///
/// `client` is in [`OPEN`], and no other step with it is in progress: nginx calls no handler from within the functions
/// that steps call.
unsafe fn run_step(client: NonNull<ClientConnection>, step: impl FnOnce(&mut ClientConnection) -> Step) {
    // SAFETY: by this function's contract.
    match guard(log::of_process(), None, || Some(step(unsafe { &mut *client.as_ptr() }))) {
        Some(Step::Continue(())) => {}
        Some(Step::Break(())) => close(client, true),
        // An internal error, which is in the log.
        None => close(client, false),
    }
}

/// Closes the connection. The handler is not called when the worker shuts down.
fn close(client: NonNull<ClientConnection>, calls_handler: bool) {
    OPEN.with_borrow_mut(|open| open.retain(|other| *other != client));
    guard(log::of_process(), (), || {
        // SAFETY: leaked by `open`; with the connection goes the last that refers to it. `close` is called once for each.
        let client = unsafe { Box::from_raw(client.as_ptr()) };
        // SAFETY: ours, and open. nginx removes its events and their timers.
        unsafe { sys::ngx_close_connection(client.connection.as_ptr()) };
        if calls_handler {
            client.handler.on_close(client.is_established);
        }
    });
}

/// Closes all open connections when the worker exits.
pub(in crate::ffi) fn close_all() {
    for client in OPEN.with_borrow(Clone::clone) {
        close(client, false);
    }
}

impl ClientConnection {
    /// Sends as much as possible. Called when the connection may be established.
    fn write(&mut self) -> Step {
        let raw = self.connection.as_ptr();
        let bytes = self.to_send.get_or_insert_with(|| self.handler.on_connect());
        while let Some(rest) = bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            // SAFETY: nginx's call on a connection that is ours and open; it only reads the bytes.
            let sent = unsafe {
                let Some(send) = (*raw).send else { return Step::Break(()) };
                send(raw, rest.as_ptr().cast_mut(), rest.len())
            };
            match usize::try_from(sent) {
                Ok(0) => break,
                Ok(sent) => {
                    self.sent += sent;
                    self.is_established = true;
                }
                Err(_) if sent == AGAIN => break,
                Err(_) => return Step::Break(()),
            }
        }
        // SAFETY: nginx's call, as above.
        continue_if(unsafe { sys::ngx_handle_write_event((*raw).write, 0) } == OK)
    }

    /// Handles received bytes, or the end of the connection.
    fn read(&mut self) -> Step {
        let raw = self.connection.as_ptr();
        let mut bytes = [0_u8; 4096];
        loop {
            // SAFETY: nginx's call on a connection that is ours and open, with room for so many bytes.
            let received = unsafe {
                let Some(receive) = (*raw).recv else { return Step::Break(()) };
                receive(raw, bytes.as_mut_ptr(), bytes.len())
            };
            match usize::try_from(received) {
                Ok(0) => return Step::Break(()),
                Ok(received) => self.handler.on_data(bytes.get(..received).unwrap_or_default())?,
                Err(_) if received == AGAIN => break,
                Err(_) => return Step::Break(()),
            }
        }
        // SAFETY: nginx's call, as above.
        continue_if(unsafe { sys::ngx_handle_read_event((*raw).read, 0) } == OK)
    }
}

fn continue_if(is_ok: bool) -> Step {
    if is_ok { Step::Continue(()) } else { Step::Break(()) }
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
            close(client, false);
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
