//! Notifications to the service manager by systemd's `sd_notify(3)`: ready, reloading, stopping, alive.
//!
//! Without `NOTIFY_SOCKET` nothing is sent. A message that cannot be sent is dropped and logged. The socket is opened here
//! because that of the crate `sd-notify` would block the supervisor, and accepts no abstract addresses.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service manager that started this daemon, if it accepts notifications.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The watchdog interval, and when the next keep-alive is due.
    watchdog: Option<(Duration, Instant)>,
}

impl ServiceManager {
    /// Reads the variables set by the service manager.
    pub(super) fn from_environment(now: Instant) -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(socket) => Some(socket),
            Err(why) => {
                tracing::warn!(
                    "cannot send notifications to the service manager at {}: {why}",
                    path.display()
                );
                None
            }
        });
        let watchdog = socket.as_ref().and_then(|_| sd_notify::watchdog_enabled());
        let watchdog = watchdog.filter(|limit| !limit.is_zero()).map(|limit| (limit, now + limit / 2));
        Self { socket, watchdog }
    }

    /// The watchdog interval, if the service manager watches.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|(limit, _)| limit)
    }

    /// Notifies that the daemon accepts requests.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Notifies about the state of the daemon, in one line.
    pub(crate) fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&status.replace('\n', " "))]);
    }

    /// Notifies that the start may take as long as this.
    pub(crate) fn preparing(&self, limit: Duration) {
        let status = NotifyState::Status("running hook programs before the start");
        self.send(&[status, NotifyState::Custom(&extend_timeout(limit))]);
    }

    /// Notifies that the configuration is read again; [`ready`](Self::ready) follows.
    pub(crate) fn reloading(&self) {
        // The call fails only for clocks that do not exist.
        let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0));
        self.send(&[NotifyState::Reloading, now]);
    }

    /// Notifies that the daemon ends, which may take as long as this.
    pub(crate) fn stopping(&self, limit: Duration) {
        let status = NotifyState::Status("finishing requests and stopping processes");
        self.send(&[NotifyState::Stopping, status, NotifyState::Custom(&extend_timeout(limit))]);
    }

    /// When the next keep-alive is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.watchdog.map(|(_, next)| next)
    }

    /// Sends a keep-alive when it is due and the daemon `works`.
    pub(crate) fn beat(&mut self, now: Instant, works: bool) {
        let Some((limit, _)) = self.watchdog.filter(|(_, next)| *next <= now) else { return };
        // Half the interval, as `sd_watchdog_enabled(3)` advises; sooner while the daemon does not work.
        let pause = if works { limit / 2 } else { limit / 16 };
        self.watchdog = Some((limit, now + pause));
        if works {
            self.send(&[NotifyState::Watchdog]);
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let message = states.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        if let Some((socket, address)) = &self.socket
            && let Err(why) = socket.send_to_addr(message.as_bytes(), address)
        {
            tracing::warn!("cannot send {message:?} to the service manager: {why}");
        }
    }
}

/// As `NotifyState::ExtendTimeoutUsec`, which is limited to 71 minutes.
fn extend_timeout(limit: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}", limit.as_micros())
}

/// Opens a socket to the address; a name that begins with `@` is an abstract one.
fn open(path: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}
