//! The way of a booted machine to the registries of packages: it has no network of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::systemd::Systemd;

const PORT: &str = "3128";

/// Where the machine finds the certificates of this one, which may be those of a proxy.
const CERTIFICATES: &str = "/etc/ssl/certs/of-the-host.crt";

/// A proxy that runs until it is dropped.
pub struct RegistryProxy {
    child: Child,
    /// The proxy ends with it.
    stdin: Option<ChildStdin>,
}

impl RegistryProxy {
    /// Starts it, and configures the machine to use it: apt, and what `sudo` passes on to pip and npm.
    pub fn start(machine: &Systemd) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/proxy.py");
        let mut command = Command::new(script);
        command.arg(machine.pid().to_string()).arg(PORT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("proxy.py cannot be run");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "the proxy has failed");
        machine.write(CERTIFICATES, &std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap());
        let apt = format!("Acquire::http::Proxy \"http://127.0.0.1:{PORT}\";\n");
        machine.write("/etc/apt/apt.conf.d/90proxy", apt.as_bytes());
        let kept = "Defaults env_keep += \"https_proxy no_proxy PIP_CERT NODE_EXTRA_CA_CERTS NEXT_TELEMETRY_DISABLED\"\n";
        machine.write("/etc/sudoers.d/proxy", kept.as_bytes());
        Self { child, stdin }
    }

    /// The variables that commands in the machine need, as a line of a shell script.
    pub fn environment() -> String {
        format!(
            "export https_proxy=http://127.0.0.1:{PORT} no_proxy=127.0.0.1,localhost PIP_CERT={CERTIFICATES} \
             NODE_EXTRA_CA_CERTS={CERTIFICATES} NEXT_TELEMETRY_DISABLED=1\n"
        )
    }
}

impl Drop for RegistryProxy {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _status = self.child.wait();
    }
}
