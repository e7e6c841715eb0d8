//! Notifications to the service manager by systemd's `sd_notify(3)`: ready, reloading, stopping, alive.
//!
//! Without `NOTIFY_SOCKET` nothing is sent. A message that cannot be sent is dropped and logged.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

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
                tracing::warn!("the service manager at {} cannot be told: {why}", path.display());
                None
            }
        });
        let watchdog = socket.as_ref().and_then(|_| watchdog()).map(|limit| (limit, now + limit / 2));
        Self { socket, watchdog }
    }

    /// The watchdog interval, if the service manager watches.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|(limit, _)| limit)
    }

    /// Notifies that the daemon accepts requests.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// Notifies that the start may take as long as this.
    pub(crate) fn preparing(&self, limit: Duration) {
        self.tell(&format!(
            "STATUS=programs run before anything is served\nEXTEND_TIMEOUT_USEC={}",
            limit.as_micros()
        ));
    }

    /// Notifies that the configuration is read again; [`ready`](Self::ready) follows.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// Notifies that the daemon ends, which may take as long as this.
    pub(super) fn stopping(&self, limit: Duration) {
        self.tell(&format!(
            "STOPPING=1\nSTATUS=requests and processes end\nEXTEND_TIMEOUT_USEC={}",
            limit.as_micros()
        ));
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
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(why) = socket.send_to_addr(message.as_bytes(), address)
        {
            tracing::warn!("the service manager cannot be told {message:?}: {why}");
        }
    }
}

/// Opens a socket to the address; a name that begins with `@` is an abstract one.
fn open(path: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn watchdog() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let limit = number("WATCHDOG_USEC").filter(|limit| for_us && *limit > 0)?;
    Some(Duration::from_micros(limit))
}
