//! What a service manager is told, by systemd's `sd_notify(3)`: ready, reloading, stopping, still alive.
//!
//! Without one (`NOTIFY_SOCKET` is not set) nothing happens. A message that cannot be sent is lost with a line in the log.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// The one that started this daemon, if it wants to hear of it.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How long it lets the daemon be silent, and when it must hear next that it is alive.
    watchdog: Option<(Duration, Instant)>,
}

impl ServiceManager {
    /// From the variables that it sets.
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

    /// How long it lets the daemon be silent, when it watches.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|(limit, _)| limit)
    }

    /// The daemon takes requests.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// It is not ready yet, which may take as long as this.
    pub(crate) fn preparing(&self, limit: Duration) {
        self.tell(&format!(
            "STATUS=programs run before anything is served\nEXTEND_TIMEOUT_USEC={}",
            limit.as_micros()
        ));
    }

    /// Its configuration is read anew; [`ready`](Self::ready) follows.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// It ends, which may take as long as this.
    pub(super) fn stopping(&self, limit: Duration) {
        self.tell(&format!(
            "STOPPING=1\nSTATUS=requests and processes end\nEXTEND_TIMEOUT_USEC={}",
            limit.as_micros()
        ));
    }

    /// When it must hear the next time that the daemon is alive.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.watchdog.map(|(_, next)| next)
    }

    /// Tells that the daemon is alive, when it is time and it `works`.
    pub(crate) fn beat(&mut self, now: Instant, works: bool) {
        let Some((limit, _)) = self.watchdog.filter(|(_, next)| *next <= now) else { return };
        // Half of the limit, as `sd_watchdog_enabled(3)` advises; sooner when the next one decides.
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

/// A name that begins with `@` is an abstract one.
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
