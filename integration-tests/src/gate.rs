//! `flying-passenger-gate` in front of a daemon.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::context::TestContext;
use crate::http::{Connection, Request};
use crate::logs;
use crate::paths;
use crate::process::{is_alive, kill_9, signal};
use crate::response::Response;
use crate::root::is_root;
use crate::wait::{eventually, eventually_some};

/// The user of nginx's workers, who may connect to the daemon: as root, the gate runs as this user.
const USER: &str = "www-data";

/// A gate that has not been started.
pub struct GateBuilder {
    test_dir: Arc<TestContext>,
    port: u16,
    gate_table: String,
    apps: String,
    flags: Vec<String>,
}

/// One gate: stopped or running.
pub struct Gate {
    how: GateBuilder,
    child: Option<Child>,
}

impl GateBuilder {
    pub(crate) fn new(test_dir: &Arc<TestContext>) -> Self {
        let port = test_dir.port();
        let test_dir = Arc::clone(test_dir);
        Self { test_dir, port, gate_table: String::new(), apps: String::new(), flags: Vec::new() }
    }

    /// Adds lines to the table `[gate]`. The addresses are already there.
    pub fn gate(mut self, lines: &str) -> Self {
        self.gate_table.push_str(lines);
        self.gate_table.push('\n');
        self
    }

    /// Adds an application in this directory, with more lines.
    pub fn app(mut self, root: &Path, lines: &str) -> Self {
        self.apps.push_str(&format!("[[apps]]\nroot = {root:?}\n{lines}\n"));
        self
    }

    /// Adds a flag.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Gate {
        self.test_dir.add_log(&self.log());
        let mut gate = Gate { how: self, child: None };
        gate.start_again();
        gate
    }

    /// Runs it until it exits, for a gate that must refuse to start.
    pub fn output(self) -> Output {
        self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }

    /// The path of its configuration file.
    pub fn file(&self) -> PathBuf {
        self.test_dir.dir.join(format!("gate{}.toml", self.port))
    }

    fn log(&self) -> PathBuf {
        self.test_dir.dir.join(format!("gate{}.log", self.port))
    }

    fn socket(&self) -> PathBuf {
        self.test_dir.dir.join("scratch").join(format!("gate{}.sock", self.port))
    }

    fn write_file(&self) {
        let (daemon, socket) = (self.test_dir.dir.join("fly.sock"), self.socket());
        let listen = format!("listen = [\"127.0.0.1:{}\", \"unix:{}\"]", self.port, socket.display());
        let (gate, apps) = (&self.gate_table, &self.apps);
        fs::write(self.file(), format!("socket_file = {daemon:?}\n[gate]\n{listen}\n{gate}\n{apps}"))
            .unwrap();
    }

    fn command(&self) -> Command {
        self.write_file();
        let mut command = Command::new(paths::binary("flying-passenger-gate"));
        let (name, value) = self.test_dir.mark();
        command.arg("--config").arg(self.file()).arg("--log-level=7").args(&self.flags);
        command.env(name, value).stdin(Stdio::null()).process_group(0);
        if is_root()
            && let Ok(Some(user)) = nix::unistd::User::from_name(USER)
        {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}

impl Gate {
    /// Starts it again after a stop, with the same configuration.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the gate is running already");
        let log = File::options().create(true).append(true).open(self.how.log()).unwrap();
        let seen = self.log().matches("listens on unix:").count();
        let mut command = self.how.command();
        let mut child =
            command.stdout(log.try_clone().unwrap()).stderr(log).spawn().expect("cannot start the gate");
        self.how.test_dir.add_group(child.id());
        eventually("the gate listens", || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the gate did not start ({status}):\n{}", self.log());
            }
            self.log().matches("listens on unix:").count() > seen
        });
        self.child = Some(child);
    }

    /// Stops it gracefully and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Stops it gracefully (TERM).
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.await_end();
    }

    /// Waits until it has ended.
    pub fn await_end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        eventually_some("the gate has ended", || child.try_wait().unwrap());
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        kill_9(self.pid());
        self.await_end();
    }

    /// Replaces applications and the rest of `[gate]` in its file, and reloads it.
    pub fn reload(&mut self, change: impl FnOnce(GateBuilder) -> GateBuilder) {
        let (test_dir, port) = (Arc::clone(&self.how.test_dir), self.how.port);
        let flags = self.how.flags.clone();
        let (gate_table, apps) = (String::new(), String::new());
        self.how = change(GateBuilder { test_dir, port, gate_table, apps, flags });
        self.how.write_file();
        let done = |log: String| log.matches("reloaded").count();
        let before = done(self.log());
        self.signal(Signal::SIGHUP);
        eventually("the gate has read its file again", || done(self.log()) > before);
    }

    /// Sends it a signal.
    pub fn signal(&self, which: Signal) {
        signal(self.pid(), which);
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the gate runs").id()
    }

    /// Its log.
    pub fn log(&self) -> String {
        logs::read(&self.how.log())
    }

    /// Waits until its log contains this text.
    #[track_caller]
    pub fn logs_eventually(&self, text: &str) {
        eventually(&format!("the gate logs {text:?}"), || self.log().contains(text));
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.how.port
    }

    /// The address on which it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.how.port)
    }

    /// The unix socket on which it listens.
    pub fn socket(&self) -> PathBuf {
        self.how.socket()
    }

    /// Sends a GET on a new connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        Request::get(path).send_to(self.how.port)
    }

    /// Sends a request on a new connection.
    #[track_caller]
    pub fn send(&self, request: Request) -> Response {
        request.send_to(self.how.port)
    }

    /// Opens a connection.
    pub fn connect(&self) -> Connection {
        Connection::to(self.how.port)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let pid = child.id();
        if std::thread::panicking() {
            kill_9(pid);
        } else {
            // The second one ends it at once, whatever connections the test has left open.
            signal(pid, Signal::SIGTERM);
            if is_alive(pid) {
                signal(pid, Signal::SIGINT);
            }
        }
        let _ended = child.wait();
    }
}
