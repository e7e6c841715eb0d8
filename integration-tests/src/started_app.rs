//! An app that `passenger start` runs, as an ordinary user.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use crate::http::Request;
use crate::paths::{binary, workspace};
use crate::process::descendants;
use crate::response::Response;
use crate::root::is_root;
use crate::test_dir::TestDir;
use crate::wait::eventually_some;

/// The user as whom the apps run, if the tests run as root.
pub const ORDINARY_USER: &str = "games";

/// The running command. Dropping it kills it.
pub struct StartedApp {
    child: Child,
    shown: Arc<Mutex<String>>,
    port: u16,
}

/// A command of the program `passenger`, in a directory, as an ordinary user.
pub fn passenger(test_dir: &TestDir, directory: &Path, arguments: &[&str]) -> Command {
    let user = User::from_name(ORDINARY_USER).unwrap().filter(|_| is_root());
    for name in ["registry", "home"] {
        let path = test_dir.path(name);
        if fs::create_dir(&path).is_ok() {
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            if let Some(user) = &user {
                std::os::unix::fs::chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
            }
        }
    }
    let mut command = Command::new(binary("passenger"));
    command.args(arguments).current_dir(directory);
    if arguments.first() == Some(&"start") {
        command.arg("--loaders-dir").arg(loaders(test_dir));
    }
    command
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"))
        .env("HOME", test_dir.path("home"))
        // Processes that remain are found by this variable.
        .env("FLYING_PASSENGER_TEST_DIR", test_dir.dir())
        // As in a terminal, in which a job is a process group.
        .process_group(0);
    if let Some(user) = user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Runs a command of `passenger` to its end; returns its exit status and its output.
pub fn passenger_output(test_dir: &TestDir, directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        passenger(test_dir, directory, arguments).stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// A copy, because the user may be unable to read the checkout.
fn loaders(test_dir: &TestDir) -> PathBuf {
    let loaders = test_dir.path("start-loaders");
    if !loaders.exists() {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(workspace().join("daemon/loaders")).arg(&loaders);
        assert!(copy.status().unwrap().success());
    }
    loaders
}

impl StartedApp {
    /// Starts an app on any free port and waits for its address.
    #[track_caller]
    pub fn start(test_dir: &TestDir, app: &Path, arguments: &[&str]) -> Self {
        let all = [&["start", "--port", "0"], arguments].concat();
        Self::of(&mut passenger(test_dir, app, &all))
    }

    /// Runs this command and waits until it shows the app's address.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot run passenger");
        let shown = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), &shown);
        collect(child.stderr.take().unwrap(), &shown);
        let mut started = Self { child, shown, port: 0 };
        started.port = eventually_some("the address is shown", || {
            let shown = started.shown();
            assert!(!started.has_ended(), "passenger start has ended: {shown}");
            let (_, rest) = shown.split_once("passenger: http://127.0.0.1:")?;
            rest.split_once('/')?.0.parse().ok()
        });
        started
    }

    /// Everything that was shown so far.
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// The port of the address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process of `passenger start`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All processes that it has started.
    pub fn processes(&self) -> Vec<u32> {
        descendants(self.pid())
    }

    /// The response to a GET.
    pub fn get(&self, path: &str) -> Response {
        Request::get(path).send_to(self.port)
    }

    /// Sends a signal to the process group, as the terminal does for Ctrl-C.
    pub fn signal_group(&self, signal: Signal) {
        kill(Pid::from_raw(-(self.pid() as i32)), signal).unwrap();
    }

    /// Whether the command has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end of the command.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for StartedApp {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _gone_already = kill(Pid::from_raw(self.pid() as i32), Signal::SIGTERM);
            let _gone_already = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("──── passenger start has shown:\n{}", self.shown());
        }
    }
}

/// Appends all lines to `shown`, in a thread.
fn collect(from: impl Read + Send + 'static, shown: &Arc<Mutex<String>>) {
    let shown = Arc::clone(shown);
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned() + "\n";
            shown.lock().unwrap().push_str(&line);
        }
    });
}
