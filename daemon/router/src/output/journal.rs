//! Client of systemd's journal in its native protocol: each line of an app becomes an entry with the app's name.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>

use std::io;

use tokio::net::UnixDatagram;

/// The journal's socket.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Syslog priority "notice", as for app output in the daemon's log.
const PRIORITY: &str = "5";

/// The source of the output.
#[derive(Debug)]
pub(super) struct Source {
    /// The group's name.
    pub(super) app: String,
    /// A short name for the journal.
    pub(super) identifier: String,
    pub(super) pid: i32,
}

/// A connection to the journal.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    pub(super) fn open() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        Ok(Self(socket))
    }

    /// Sends a line; waits while the journal is busy, which delays only this app.
    pub(super) async fn write(&self, source: &Source, message: &str) -> io::Result<()> {
        self.0.send(entry(source, message).as_bytes()).await.map(drop)
    }
}

/// Returns an entry with one field per line; newlines in values are replaced.
fn entry(source: &Source, message: &str) -> String {
    let fields = [
        ("MESSAGE", message),
        ("PRIORITY", PRIORITY),
        ("SYSLOG_IDENTIFIER", &source.identifier),
        ("PASSENGER_APP_GROUP_NAME", &source.app),
        ("PASSENGER_APP_PID", &source.pid.to_string()),
    ];
    fields.into_iter().map(|(name, value)| format!("{name}={}\n", value.replace('\n', " "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_another_field() {
        let source = Source { app: "/a\nPRIORITY=0".into(), identifier: "a".into(), pid: 7 };
        let entry = entry(&source, "one\nMESSAGE=two");
        assert_eq!(
            entry,
            "MESSAGE=one MESSAGE=two\nPRIORITY=5\nSYSLOG_IDENTIFIER=a\n\
             PASSENGER_APP_GROUP_NAME=/a PRIORITY=0\nPASSENGER_APP_PID=7\n"
        );
    }
}
