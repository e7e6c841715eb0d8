//! nginx with a complete configuration, in its own prefix.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use nix::sys::signal::Signal;

use crate::context::TestContext;
use crate::http::{Connection, Request};
use crate::logs;
use crate::paths;
use crate::process::{children, in_group, is_alive, kill_9, signal};
use crate::response::Response;
use crate::root::is_root;
use crate::wait::{eventually, eventually_some};

const WORKERS: usize = 2;

/// One nginx: stopped or running.
pub struct Nginx {
    test_dir: Arc<TestContext>,
    prefix: PathBuf,
    port: u16,
    variables: Vec<(String, PathBuf)>,
    /// The process group of the running master and its workers. It survives a binary upgrade.
    group: Option<u32>,
}

impl Nginx {
    pub(crate) fn new(test_dir: &Arc<TestContext>, conf: &str) -> Self {
        let port = test_dir.port();
        let prefix = test_dir.dir.join(format!("nginx{port}"));
        fs::create_dir_all(&prefix).unwrap();
        let nginx = Self { test_dir: Arc::clone(test_dir), prefix, port, variables: Vec::new(), group: None };
        test_dir.add_log(&nginx.error_log_path());
        test_dir.add_log(&nginx.prefix.join("stderr.log"));
        nginx.configure(conf);
        nginx
    }

    /// Replaces the configuration; takes effect at the next start or reload.
    pub fn configure(&self, conf: &str) {
        fs::write(self.prefix.join("nginx.conf"), self.fill_in(conf)).unwrap();
    }

    /// The path of the configuration file.
    pub fn conf_path(&self) -> PathBuf {
        self.prefix.join("nginx.conf")
    }

    /// Adds an environment variable.
    pub fn variable(mut self, name: &str, value: &Path) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(mut self) -> Self {
        self.start_again();
        self
    }

    /// Starts it after a stop, on the same port with the same configuration.
    pub fn start_again(&mut self) {
        assert!(self.group.is_none(), "nginx is running already");
        let _none_from_before = fs::remove_file(self.pid_file());
        // In the background, because an nginx in the foreground ignores USR2; it then has its own process group.
        let status = self.command().status().expect("cannot start nginx");
        if !status.success() {
            let log = logs::read(&self.error_log_path()) + &logs::read(&self.prefix.join("stderr.log"));
            panic!("nginx did not start ({status}):\n{log}");
        }
        let master = eventually_some("nginx has its pid file", || self.read_pid());
        self.test_dir.add_group(master);
        self.group = Some(master);
        eventually("nginx has its workers", || self.workers().len() == WORKERS);
    }

    /// `nginx -s reload`: waits until new workers serve and the old ones are gone.
    pub fn reload(&self) {
        let before = self.workers();
        self.begin_reload();
        eventually("nginx has changed its workers", || {
            let now = self.workers();
            !now.is_empty() && now.iter().all(|pid| !before.contains(pid))
        });
    }

    /// Starts a reload without waiting for the old workers.
    pub fn begin_reload(&self) {
        signal(self.master(), Signal::SIGHUP);
    }

    /// Stops it gracefully.
    pub fn stop(&mut self) {
        let master = self.master();
        signal(master, Signal::SIGQUIT);
        self.reap();
    }

    /// Replaces the running binary: USR2, then QUIT for the old master.
    pub fn usr2_upgrade(&mut self) {
        let old = self.master();
        signal(old, Signal::SIGUSR2);
        eventually("the new nginx master has started", || {
            self.read_pid().is_some_and(|pid| pid != old && !children(pid).is_empty())
        });
        signal(old, Signal::SIGQUIT);
        eventually("the old nginx master has gone", || !is_alive(old));
    }

    /// Kills master and workers with SIGKILL, all at once.
    pub fn kill_9_everything(&mut self) {
        let group = self.group.expect("nginx runs");
        // The master first, so that it does not log the death of its workers.
        kill_9(self.master());
        eventually("nginx is dead", || {
            let left = in_group(group);
            left.iter().copied().for_each(kill_9);
            left.is_empty()
        });
        self.reap();
    }

    /// `nginx -t` on this configuration.
    pub fn test_config(&self) -> Output {
        self.command().arg("-t").stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }

    /// Whether its workers have loaded the module.
    pub fn has_module(&self) -> bool {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.workers()[0])).unwrap_or_default();
        maps.contains("libngx_http_passenger_module.so")
    }

    /// Sends a GET on a new connection.
    pub fn get(&self, path: &str) -> Response {
        Request::get(path).send_to(self.port)
    }

    /// Sends a request on a new connection.
    pub fn send(&self, request: Request) -> Response {
        request.send_to(self.port)
    }

    /// Opens a connection.
    pub fn connect(&self) -> Connection {
        Connection::to(self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The contents of its error log.
    pub fn error_log(&self) -> String {
        logs::read(&self.error_log_path())
    }

    /// PID of the master.
    pub fn master(&self) -> u32 {
        self.read_pid().expect("nginx has a pid file")
    }

    /// PIDs of the workers.
    pub fn workers(&self) -> Vec<u32> {
        children(self.master())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(paths::nginx_binary());
        let (name, value) = self.test_dir.mark();
        let stderr = File::options().create(true).append(true).open(self.prefix.join("stderr.log")).unwrap();
        command
            .arg("-p")
            .arg(&self.prefix)
            .arg("-c")
            .arg(self.prefix.join("nginx.conf"))
            .arg("-e")
            .arg(self.error_log_path())
            .env(name, value)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stderr.try_clone().unwrap())
            .stderr(stderr)
            .current_dir(&self.prefix);
        command
    }

    /// Waits for all of its processes to end.
    fn reap(&mut self) {
        let Some(group) = self.group.take() else { return };
        eventually("nginx has stopped", || in_group(group).is_empty());
    }

    fn fill_in(&self, conf: &str) -> String {
        let prefix = self.prefix.display();
        let user = if is_root() { "user root;" } else { "" };
        // The module is loaded only if the configuration has its directives.
        let module = if conf.contains("passenger") {
            format!("load_module {};", paths::module().display())
        } else {
            String::new()
        };
        let globals = format!(
            "{module} {user} worker_processes {WORKERS}; pid {prefix}/nginx.pid; \
             error_log {prefix}/error.log info; worker_rlimit_nofile 4096;"
        );
        let http = format!(
            "access_log {prefix}/access.log; client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy; \
             fastcgi_temp_path {prefix}/fastcgi; uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;"
        );
        conf.replace("%%GLOBALS%%", &globals)
            .replace("%%HTTP%%", &http)
            .replace("%%PORT%%", &self.port.to_string())
            .replace("%%SOCKET%%", &self.test_dir.dir.join("fly.sock").display().to_string())
            .replace("%%DIR%%", &self.test_dir.dir.display().to_string())
    }

    fn error_log_path(&self) -> PathBuf {
        self.prefix.join("error.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.prefix.join("nginx.pid")
    }

    fn read_pid(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let Some(group) = self.group else { return };
        if thread::panicking() {
            in_group(group).into_iter().for_each(kill_9);
            return;
        }
        // QUIT would wait for connections that the test leaves open.
        signal(self.master(), Signal::SIGTERM);
        self.reap();
    }
}
