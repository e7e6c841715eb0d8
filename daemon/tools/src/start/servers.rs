//! The private daemon and the private gate of a running app. They end when this process ends, even if it is killed.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::background::IN_BACKGROUND;
use super::events::{Event, Events};
use super::options::Options;
use super::running::{RuntimeDir, registry};
use super::servers_config::{daemon_flags, gate_config, socket};
use crate::client::Client;
use crate::installation::Installation;
use crate::private::process::{PrivateProcess, kill_orphans};
use common::instance;

/// Maximum time of the connection by which it is known that the gate listens.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// The servers; dropping this ends them, the gate first, so that no request is lost.
#[derive(Debug)]
pub(super) struct Servers {
    gate: Option<PrivateProcess>,
    daemon: Option<PrivateProcess>,
    gate_command: GateCommand,
}

#[derive(Debug)]
struct GateCommand {
    program: PathBuf,
    config: PathBuf,
    socket: PathBuf,
}

/// How to reach the daemon, from another thread.
#[derive(Debug, Clone)]
pub(super) struct DaemonClient {
    pid: i32,
}

impl Servers {
    /// Starts the daemon. Must be called from the thread that lives longest.
    pub(super) fn start(
        options: &Options,
        runtime: &RuntimeDir,
        address: SocketAddr,
        events: &Events,
    ) -> Result<Self, String> {
        let installation = Installation::of_this_program()?;
        let program = installation.program("flying-passenger-gate").ok_or(NO_GATE)?;
        let config = runtime.join("gate.toml");
        fs::write(&config, gate_config(options, address)?)
            .map_err(|err| format!("cannot write {}: {err}", config.display()))?;
        let socket = socket(runtime);
        // Of a process that was killed.
        let _ = fs::remove_file(&socket);
        let mut command = Command::new(installation.daemon()?);
        command.args(daemon_flags(options, runtime)).current_dir("/").env_remove(IN_BACKGROUND);
        let sender = events.sender.clone();
        let daemon = PrivateProcess::start(&mut command, move |logged| {
            let _ = sender.send(Event::Daemon(logged));
        })?;
        let gate_command = GateCommand { program, config, socket };
        Ok(Self { gate: None, daemon: Some(daemon), gate_command })
    }

    /// Starts the gate, when the daemon listens. Must be called from the same thread as `start`.
    pub(super) fn start_gate(&mut self, events: &Events) -> Result<(), String> {
        if self.gate.is_some() {
            return Ok(());
        }
        let GateCommand { program, config, socket } = &self.gate_command;
        let mut command = Command::new(program);
        command
            .arg(format!("--config={}", config.display()))
            .arg(format!("--socket-file={}", socket.display()))
            .arg("--log-format=json")
            .current_dir("/")
            .env_remove(IN_BACKGROUND);
        let sender = events.sender.clone();
        self.gate = Some(PrivateProcess::start(&mut command, move |logged| {
            let _ = sender.send(Event::Gate(logged));
        })?);
        Ok(())
    }

    /// Whether the gate accepts connections.
    pub(super) fn accept_connections(&mut self, address: SocketAddr) -> bool {
        let is_running = self.gate.as_mut().is_some_and(|gate| !gate.has_exited());
        is_running && TcpStream::connect_timeout(&reachable(address), CONNECT_TIMEOUT).is_ok()
    }

    /// Returns the client of the daemon.
    pub(super) fn client(&self) -> DaemonClient {
        DaemonClient { pid: self.daemon.as_ref().map_or(0, PrivateProcess::pid) }
    }
}

/// The error of an installation without the gate.
const NO_GATE: &str = "cannot find flying-passenger-gate beside this program; install the package flying-passenger-gate, or run make build";

/// Returns the address to connect to: the unspecified one means all of this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        let local =
            if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        reachable.set_ip(local);
    }
    reachable
}

impl DaemonClient {
    /// Returns a client of the daemon's admin socket.
    pub(super) fn client(&self) -> Result<Client, String> {
        let all = instance::list(&registry()).map_err(|err| err.to_string())?;
        let found = all.iter().find(|found| i64::from(found.properties.pid) == i64::from(self.pid));
        found.map(Client::new).ok_or_else(|| "the daemon is not running".to_owned())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.gate.take());
        drop(self.daemon.take());
        kill_orphans();
    }
}
