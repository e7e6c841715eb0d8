//! A container with its own systemd and a temporary copy of this machine's files. Root only.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A booted container.
pub struct Systemd {
    state: PathBuf,
}

impl Systemd {
    /// Boots one.
    pub fn boot() -> Self {
        Self::boot_from(Path::new("/"))
    }

    /// Boots one with a copy of other files.
    pub fn boot_from(root: &Path) -> Self {
        let output = boot().arg("up").arg(root).output().expect("boot.sh cannot be run");
        assert!(output.status.success(), "no machine has booted: {output:?}");
        let state = String::from_utf8(output.stdout).unwrap();
        Self { state: state.trim().into() }
    }

    /// Runs a shell script in it.
    pub fn run(&self, script: &str) -> Output {
        self.command(script).stdin(Stdio::null()).output().expect("boot.sh cannot be run")
    }

    /// Runs a shell script in it, which must succeed, and returns its output.
    pub fn sh(&self, script: &str) -> String {
        let output = self.run(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{script}\n{}\n{out}{err}\n{}", output.status, self.journal());
        out
    }

    /// Starts a shell script in it.
    pub fn spawn(&self, script: &str) -> std::process::Child {
        let command = &mut self.command(script);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("boot.sh cannot be run")
    }

    /// Writes a file in it.
    pub fn write(&self, path: &str, content: &[u8]) {
        let script = format!("mkdir -p \"$(dirname {path})\" && cat > {path}");
        let mut child = self.command(&script).stdin(Stdio::piped()).spawn().expect("boot.sh cannot be run");
        child.stdin.take().unwrap().write_all(content).unwrap();
        assert!(child.wait().unwrap().success(), "{path} cannot be written");
    }

    /// Copies the contents of a directory into one in it.
    pub fn copy(&self, from: &Path, to: &str) {
        let mut tar = Command::new("tar");
        let mut pack = tar.arg("-C").arg(from).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
        let mut unpack = self.command(&format!("mkdir -p {to} && tar -C {to} -x --no-same-owner"));
        let unpacked = unpack.stdin(pack.stdout.take().unwrap()).status().expect("boot.sh cannot be run");
        assert!(pack.wait().unwrap().success() && unpacked.success(), "{} cannot be copied", from.display());
    }

    /// Its first process, as this machine numbers it.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.state.join("pid")).expect("it has booted");
        pid.trim().parse().expect("a number")
    }

    /// Copies files below `/usr` of this machine to `/usr/local` of it.
    pub fn copy_programs(&self, names: &[&str]) {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--directory=/usr"]).args(names).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("tar cannot be run");
        let from_tar = tar.stdout.take().expect("it is piped");
        let mut unpack = self.command("tar --extract --directory=/usr/local");
        let unpacked = unpack.stdin(from_tar).status().expect("boot.sh cannot be run");
        assert!(tar.wait().unwrap().success() && unpacked.success(), "{names:?} cannot be copied");
    }

    /// Everything that services have logged.
    pub fn journal(&self) -> String {
        String::from_utf8_lossy(&self.run("journalctl --no-pager -q -o short-precise").stdout).into_owned()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = boot();
        command.arg("in").arg(&self.state).args(["sh", "-ec", script]);
        command
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("──── the machine's journal\n{}", self.journal());
        }
        let down = boot().arg("down").arg(&self.state).status();
        assert!(down.is_ok_and(|status| status.success()) || std::thread::panicking(), "it does not go down");
    }
}

fn boot() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/boot.sh"))
}
