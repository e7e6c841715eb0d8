//! A web server in front of the gate, started with the configuration of its documentation page.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::sys::signal::Signal;

use crate::context::TestContext;
use crate::frameworks::framework;
use crate::gate::Gate;
use crate::http::Connection;
use crate::paths::{self, workspace};
use crate::process::{in_group, kill_9, signal};
use crate::root::is_root;
use crate::wait::eventually;

/// The web servers of `docs/fronts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebServer {
    /// Apache HTTP Server, of Debian.
    Apache,
    /// Caddy, of PyPI.
    Caddy,
    /// HAProxy, of Debian.
    Haproxy,
    /// Traefik, of PyPI.
    Traefik,
    /// Envoy, of PyPI.
    Envoy,
    /// nginx without the module.
    Nginx,
}

/// Returns another configuration of the site, from that of the page and all code blocks of the page.
pub type Change = fn(&str, &[String]) -> String;

/// A running web server.
pub struct Front {
    test_dir: Arc<TestContext>,
    server: WebServer,
    dir: PathBuf,
    port: u16,
    command: Command,
    child: Option<Child>,
}

/// The addresses of the gate in the pages.
const DOCUMENTED_SOCKET: &str = "/run/flying-passenger-gate/http.sock";
const DOCUMENTED_ADDRESS: &str = "127.0.0.1:3000";

const APACHE_MODULES: [&str; 8] =
    ["mpm_event", "authz_core", "headers", "proxy", "proxy_http", "unixd", "env", "log_config"];

impl WebServer {
    fn page(self) -> PathBuf {
        let name = match self {
            Self::Apache => "apache",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Traefik => "traefik",
            Self::Envoy => "envoy",
            Self::Nginx => "nginx",
        };
        workspace().join("docs/fronts").join(format!("{name}.md"))
    }

    /// Returns the code blocks of this language on its page.
    fn blocks(self, language: &str) -> Vec<String> {
        let text = fs::read_to_string(self.page()).unwrap();
        let fence = format!("```{language}\n");
        let blocks: Vec<String> = text
            .split(&fence)
            .skip(1)
            .map(|rest| rest.split_once("```").expect("the code block ends").0.to_owned())
            .collect();
        assert!(!blocks.is_empty(), "{} has no code block in {language}", self.page().display());
        blocks
    }

    fn language(self) -> &'static str {
        match self {
            Self::Apache => "apache",
            Self::Caddy => "caddyfile",
            Self::Haproxy => "haproxy",
            Self::Traefik | Self::Envoy => "yaml",
            Self::Nginx => "nginx",
        }
    }

    /// Writes its configuration into `dir`, with the addresses of the test, and returns the command that runs it.
    fn configure(self, dir: &Path, port: u16, gate: &Gate, change: Change) -> Command {
        let blocks = self.blocks(self.language());
        let site = if self == Self::Traefik { &blocks[1] } else { &blocks[0] };
        let site = change(site, &blocks)
            .replace(DOCUMENTED_SOCKET, &gate.socket().display().to_string())
            .replace(DOCUMENTED_ADDRESS, &gate.address());
        match self {
            Self::Apache => apache(dir, port, &site),
            Self::Caddy => caddy(dir, port, &site),
            Self::Haproxy => haproxy(dir, port, &site),
            Self::Traefik => traefik(dir, port, &blocks[0], &site),
            Self::Envoy => envoy(dir, port, &site),
            Self::Nginx => nginx(dir, port, &site),
        }
    }
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn apache(dir: &Path, port: u16, site: &str) -> Command {
    let modules =
        APACHE_MODULES.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"));
    let user = if is_root() { "User www-data\nGroup www-data" } else { "" };
    let site = replaced(site, "*:80", &format!("127.0.0.1:{port}"));
    let conf = format!(
        "ServerRoot {dir}\nDefaultRuntimeDir {dir}\nPidFile {dir}/apache.pid\nErrorLog {dir}/error.log\nServerName localhost\n\
         Listen 127.0.0.1:{port}\n{modules}\n{user}\n{site}",
        dir = dir.display(),
        modules =
            modules.iter().filter(|line| has_apache_module(line)).cloned().collect::<Vec<_>>().join("\n"),
    );
    let mut command = Command::new("apache2");
    command.arg("-f").arg(write(dir, "apache.conf", &conf)).arg("-DFOREGROUND");
    command
}

/// Whether a module is a file; some are part of the program.
fn has_apache_module(line: &str) -> bool {
    line.rsplit(' ').next().is_some_and(|path| Path::new(path).exists())
}

fn caddy(dir: &Path, port: u16, site: &str) -> Command {
    let site = replaced(site, "example.org {", &format!("http://:{port} {{"));
    let conf = format!("{{\n    admin off\n    auto_https off\n    persist_config off\n}}\n{site}");
    let mut command = Command::new(installed("caddy"));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(write(dir, "Caddyfile", &conf));
    command
}

fn haproxy(dir: &Path, port: u16, site: &str) -> Command {
    let site = replaced(site, "bind :80", &format!("bind 127.0.0.1:{port}"));
    let conf =
        format!("defaults\n    timeout connect 5s\n    timeout client 10m\n    timeout server 10m\n\n{site}");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(write(dir, "haproxy.cfg", &conf));
    command
}

fn traefik(dir: &Path, port: u16, fixed: &str, site: &str) -> Command {
    let site = write(dir, "example.yml", site);
    let conf = replaced(fixed, "\":80\"", &format!("\"127.0.0.1:{port}\""));
    let conf = replaced(&conf, "/etc/traefik/example.yml", &site.display().to_string());
    let mut command = Command::new(installed("traefik"));
    command.arg(format!("--configFile={}", write(dir, "traefik.yml", &conf).display()));
    command
}

fn envoy(dir: &Path, port: u16, conf: &str) -> Command {
    let conf = replaced(
        conf,
        "address: 0.0.0.0, port_value: 80",
        &format!("address: 127.0.0.1, port_value: {port}"),
    );
    let mut command = Command::new(installed("envoy"));
    command.args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning", "-c"]);
    command.arg(write(dir, "envoy.yaml", &conf));
    command
}

fn nginx(dir: &Path, port: u16, site: &str) -> Command {
    let site = replaced(site, "listen 80;", &format!("listen 127.0.0.1:{port};"));
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", dir.display()))
        .concat();
    let user = if is_root() { "user www-data;" } else { "" };
    let conf = format!(
        "{user} daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;\nevents {{}}\nhttp {{\n{temp}access_log off;\n{site}}}\n",
        dir = dir.display()
    );
    let mut command = Command::new(paths::nginx_binary());
    command.arg("-p").arg(dir).arg("-c").arg(write(dir, "nginx.conf", &conf));
    command
}

/// Replaces a part that must be there.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in {text}");
    text.replace(from, to)
}

/// A web server that `integration-tests/frameworks/fronts.sh` has installed.
fn installed(name: &str) -> PathBuf {
    let path = framework(&format!("fronts/bin/{name}"));
    assert!(path.exists(), "{} is missing: run integration-tests/frameworks/install.sh", path.display());
    path
}

impl Front {
    /// Starts a web server in front of a gate.
    pub(crate) fn start(test_dir: &Arc<TestContext>, server: WebServer, gate: &Gate, change: Change) -> Self {
        let port = test_dir.port();
        let dir = test_dir.dir.join(format!("front{port}"));
        fs::create_dir_all(&dir).unwrap();
        let command = server.configure(&dir, port, gate, change);
        let mut front = Self { test_dir: Arc::clone(test_dir), server, dir, port, command, child: None };
        front.run();
        front
    }

    fn run(&mut self) {
        let log = self.dir.join("output.log");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let (name, value) = self.test_dir.mark();
        let command = &mut self.command;
        command.env(name, value).env("HOME", &self.dir).current_dir(&self.dir).process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", self.server));
        self.test_dir.add_group(child.id());
        self.child = Some(child);
        eventually("the web server listens", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{:?} has ended: {}", self.server, crate::logs::read(&log));
            Connection::try_to(self.port).is_ok()
        });
    }

    /// Starts it again, with the same configuration.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the web server runs");
        self.run();
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("the web server runs");
        signal(child.id(), Signal::SIGTERM);
        eventually("the web server has ended", || child.try_wait().unwrap().is_some());
    }

    /// Kills it and its child processes with SIGKILL.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().expect("the web server runs");
        kill_9(child.id());
        child.wait().unwrap();
        eventually("nothing of the web server is left", || {
            let left = in_group(child.id());
            left.iter().copied().for_each(kill_9);
            left.is_empty()
        });
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.stop();
        }
    }
}
