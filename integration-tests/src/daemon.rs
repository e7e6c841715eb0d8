//! The daemon, started as an operator would.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread;

use nix::sys::signal::Signal;

use crate::context::TestContext;
use crate::log_pipe;
use crate::logs;
use crate::paths;
use crate::process::{children, descendants, is_alive, kill_9, signal, title};
use crate::wait::{eventually, eventually_some};

/// A daemon that has not been started.
pub struct DaemonBuilder {
    test_dir: Arc<TestContext>,
    flags: Vec<String>,
    user: Option<(u32, u32)>,
    accounts: Option<String>,
    file: Option<String>,
    variables: Vec<(String, PathBuf)>,
    activated: Option<PathBuf>,
    /// The program, if it is not the one that was built.
    binary: Option<PathBuf>,
    /// A command that executes the program.
    through: Vec<String>,
    /// The daemon is the child of the started process, and the first process of a container.
    first_process: bool,
}

/// Opens a listening socket as systemd does, and executes the program.
const ACTIVATE: &str = "import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execv(sys.argv[2], sys.argv[2:])
";

/// One daemon: stopped or running.
pub struct Daemon {
    how: DaemonBuilder,
    log: PathBuf,
    child: Option<Child>,
}

impl DaemonBuilder {
    pub(crate) fn new(test_dir: &Arc<TestContext>) -> Self {
        Self {
            test_dir: Arc::clone(test_dir),
            flags: Vec::new(),
            user: None,
            accounts: None,
            file: None,
            variables: Vec::new(),
            activated: None,
            binary: None,
            through: Vec::new(),
            first_process: false,
        }
    }

    /// Adds a flag.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Uses a configuration file for everything, including the paths, which are put before `lines`.
    pub fn configured(mut self, lines: &str) -> Self {
        self.file = Some(lines.to_owned());
        self
    }

    /// Adds an environment variable.
    pub fn variable(mut self, name: &str, value: PathBuf) -> Self {
        self.variables.push((name.to_owned(), value));
        self
    }

    /// Passes it a socket that listens at `path`, as systemd's socket activation does.
    pub fn activated(mut self, path: PathBuf) -> Self {
        self.activated = Some(path);
        self
    }

    /// Runs this program, which the test can replace.
    pub fn binary(mut self, path: PathBuf) -> Self {
        self.binary = Some(path);
        self
    }

    /// Starts it through another program, which executes it.
    pub fn through(mut self, words: &[&str]) -> Self {
        self.through = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts it as PID 1 of a container: the kernel ends the container's other processes with it. Root only.
    pub fn as_first_process(self) -> Self {
        let container = self.through(&["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
        Self { first_process: true, ..container }
    }

    /// Starts it in its own control group.
    pub fn in_cgroup(self, group: &Path) -> Self {
        self.through(&[
            "sh",
            "-c",
            "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"",
            &group.display().to_string(),
        ])
    }

    /// Starts it as another user, who must be able to write to the test's directory.
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Adds lines to `/etc/passwd` as it and its apps see it. Root only.
    pub fn with_accounts(mut self, lines: &str) -> Self {
        self.accounts = Some(lines.to_owned());
        self
    }

    /// Preloads a library into all of its processes, including the router, which has no environment. Root only.
    pub fn preloading(self, library: &Path) -> Self {
        let etc = self.test_dir.dir.join("etc");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("ld.so.preload"), library.display().to_string()).unwrap();
        let script = "mount -t overlay -o \"lowerdir=$0:/etc\" none /etc && exec \"$@\"";
        self.through(&["unshare", "--mount", "--", "sh", "-c", script, &etc.display().to_string()])
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Daemon {
        let log = self.log();
        self.test_dir.add_log(&log);
        let mut daemon = Daemon { how: self, log, child: None };
        daemon.start_again();
        daemon
    }

    /// The path of its log: the file of its flag, or its standard error.
    fn log(&self) -> PathBuf {
        let named = self.flags.iter().find_map(|flag| flag.strip_prefix("--log-file="));
        named.map_or_else(|| self.standard_error(), PathBuf::from)
    }

    fn standard_error(&self) -> PathBuf {
        self.test_dir.dir.join("daemon.log")
    }

    /// Writes its configuration file without starting it.
    pub fn file(self) -> PathBuf {
        let _not_started = self.command();
        self.test_dir.dir.join("daemon.toml")
    }

    /// Runs it until it exits, for a daemon that must refuse to start.
    pub fn output(self) -> Output {
        let mut command = self.command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.test_dir.add_group(child.id());
        eventually_some("the daemon has refused to start", || child.try_wait().unwrap());
        child.wait_with_output().unwrap()
    }

    /// The daemon's program, in its own mount namespace if it is to see other accounts.
    fn program(&self) -> Command {
        let program = self.binary.clone().unwrap_or_else(|| paths::binary("flying-passenger"));
        if let Some(path) = &self.activated {
            let mut command = Command::new("python3");
            command.args(["-c", ACTIVATE]).arg(path).arg(program);
            return command;
        }
        if let [first, rest @ ..] = &self.through[..] {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            return command;
        }
        let Some(accounts) = &self.accounts else {
            return Command::new(program);
        };
        let passwd = self.test_dir.dir.join("passwd");
        let all = std::fs::read_to_string("/etc/passwd").unwrap() + accounts;
        std::fs::write(&passwd, all).unwrap();
        let script = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--", "sh", "-c", script]).arg(passwd).arg(program);
        command
    }

    fn command(&self) -> Command {
        let dir = &self.test_dir.dir;
        // A copy, because the apps' users may not be able to read the checkout.
        let loaders = dir.join("loaders");
        if !loaders.exists() {
            let copied = Command::new("cp").arg("-r").arg(paths::loaders()).arg(&loaders).status();
            assert!(copied.is_ok_and(|status| status.success()), "cannot copy the loaders");
        }
        let registry = dir.join("registry");
        std::fs::create_dir_all(&registry).unwrap();
        let mut command = self.program();
        let (name, value) = self.test_dir.mark();
        let paths = [
            ("socket-file", dir.join("fly.sock")),
            ("instance-registry-dir", registry.clone()),
            ("loaders-dir", loaders),
        ];
        match &self.file {
            Some(lines) => command.arg(format!("--config={}", self.write_file(&paths, lines).display())),
            None => command.args(paths.map(|(flag, path)| format!("--{flag}={}", path.display()))),
        };
        command
            .args(self.threads())
            .args(&self.flags)
            .env(name, value)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0);
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(&registry, Some(uid), Some(gid)).unwrap();
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The number of threads of the router that the tests run with, unless this daemon has its own or is another
    /// program.
    fn threads(&self) -> Option<String> {
        let has_own = self.flags.iter().any(|flag| flag.starts_with("--router-threads"))
            || self.file.as_ref().is_some_and(|lines| lines.contains("router_threads"));
        let wanted = std::env::var("TEST_ROUTER_THREADS").ok().filter(|_| !has_own && self.binary.is_none());
        wanted.map(|threads| format!("--router-threads={threads}"))
    }

    fn write_file(&self, paths: &[(&str, PathBuf)], lines: &str) -> PathBuf {
        let file = self.test_dir.dir.join("daemon.toml");
        let key = |(flag, path): &(&str, PathBuf)| format!("{} = {path:?}\n", flag.replace('-', "_"));
        let keys: String = paths.iter().map(key).collect();
        std::fs::write(&file, keys + lines).unwrap();
        file
    }
}

impl Daemon {
    /// Starts it again after a stop, with the same flags.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the daemon is running already");
        let log = File::options().create(true).append(true).open(self.how.standard_error()).unwrap();
        let seen = self.log().matches("up and listening").count();
        let mut child = self
            .how
            .command()
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("cannot start the daemon");
        self.how.test_dir.add_group(child.id());
        eventually("the daemon is up and listening", || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the daemon did not start ({status}):\n{}", logs::read(&self.log));
            }
            logs::read(&self.log).matches("up and listening").count() > seen
        });
        self.child = Some(child);
    }

    /// Stops it gracefully (TERM).
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.await_end()
    }

    /// Waits until it has exited.
    pub fn await_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon runs");
        eventually_some("the daemon has stopped", || child.try_wait().unwrap())
    }

    /// Kills the supervisor with SIGKILL, and all remaining processes.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        let below = descendants(child.id());
        kill_9(child.id());
        child.wait().unwrap();
        for pid in below {
            kill_9(pid);
            eventually("the processes of the daemon have ended", || !is_alive(pid));
        }
    }

    /// Kills the router with SIGKILL, and waits until the supervisor has started another.
    pub fn kill_router(&self) {
        let router = self.router();
        kill_9(router);
        eventually("the supervisor has started another router", || {
            !is_alive(router) && self.find_router().is_some_and(|pid| pid != router)
        });
    }

    /// PID of the supervisor.
    pub fn pid(&self) -> u32 {
        let started = self.child.as_ref().expect("the daemon runs").id();
        if !self.how.first_process {
            return started;
        }
        eventually_some("the container has a first process", || children(started).first().copied())
    }

    /// PID of the router: the supervisor's child that runs the same program.
    pub fn router(&self) -> u32 {
        eventually_some("the daemon has a router", || self.find_router())
    }

    /// The log of the daemon and its apps.
    pub fn log(&self) -> String {
        if let Some(child) = &self.child {
            log_pipe::settle(child.id());
        }
        logs::read(&self.log)
    }

    /// Waits until the log contains this text.
    #[track_caller]
    pub fn logs_eventually(&self, text: &str) {
        eventually(&format!("the daemon's log says: {text}"), || self.log().contains(text));
    }

    /// Its standard error, which is its log unless a flag names a file.
    pub fn standard_error(&self) -> String {
        logs::read(&self.how.standard_error())
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, which: Signal) {
        signal(self.pid(), which);
    }

    /// Runs `passenger-status` against it.
    pub fn status(&self) -> String {
        let output = self.tool("passenger-status", &[]);
        assert!(output.status.success(), "passenger-status failed: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs one of the tools against it.
    pub fn tool(&self, name: &str, args: &[&str]) -> Output {
        Command::new(paths::binary(name))
            .args(args)
            .env("PASSENGER_INSTANCE_REGISTRY_DIR", self.how.test_dir.dir.join("registry"))
            .output()
            .unwrap()
    }

    /// Runs one of the tools against it as another user, who is also a member of the group `more`.
    pub fn tool_as(&self, user: &str, more: &str, name: &str, args: &[&str]) -> Output {
        Command::new("setpriv")
            .args([&format!("--reuid={user}"), &format!("--regid={user}"), &format!("--groups={more}")])
            .arg(paths::binary(name))
            .args(args)
            .env("PASSENGER_INSTANCE_REGISTRY_DIR", self.how.test_dir.dir.join("registry"))
            .output()
            .unwrap()
    }

    /// The administration socket of the running instance.
    pub fn admin_socket(&self) -> PathBuf {
        eventually_some("the daemon has an instance with a socket", || {
            let instances = std::fs::read_dir(self.how.test_dir.dir.join("registry")).ok()?;
            let mut sockets = instances.filter_map(|entry| Some(entry.ok()?.path().join("admin.sock")));
            sockets.find(|socket| socket.exists())
        })
    }

    /// PIDs of the app processes that `passenger-status` shows.
    pub fn app_pids(&self) -> Vec<u32> {
        let status = self.status();
        let lines = status.lines().filter_map(|line| line.trim().strip_prefix("* PID:"));
        lines.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect()
    }

    /// PIDs of the supervisor, the router, the log writer and the stat workers.
    pub fn own_pids(&self) -> Vec<u32> {
        let looks = |pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| ["flying-stat\n", "flying-log\n"].contains(&name.as_str()))
        };
        let workers = children(self.pid()).into_iter().filter(looks);
        [self.pid(), self.router()].into_iter().chain(workers).collect()
    }

    fn find_router(&self) -> Option<u32> {
        // By its command line, because an ordinary user cannot read a router's executable. A child that is about to
        // execute an app still has the supervisor's.
        children(self.pid()).into_iter().find(|pid| title(*pid).starts_with("flying-passenger router"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if thread::panicking() {
            self.kill();
            return;
        }
        let status = self.stop();
        assert!(status.success(), "the daemon stopped with {status}");
    }
}
