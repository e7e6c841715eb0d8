//! Private daemon for one app and one request. It has its own directory and socket, and ends when its owner ends,
//! even if the owner is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Sender;

use super::app::TestedApp;
use super::events::Event;
use crate::client::Client;
use crate::private::process::{Logged, PrivateProcess, SHUTDOWN_SECONDS, kill_orphans};
use crate::temp_dir::TempDir;
use common::instance;

/// The daemon; dropping this ends it and removes its directory.
#[derive(Debug)]
pub(super) struct PrivateDaemon {
    process: PrivateProcess,
    /// Kills what the daemon has left, when `process` has ended.
    _orphans: Orphans,
    dir: TempDir,
}

/// Dropping this kills what apps moved to the background.
#[derive(Debug)]
struct Orphans;

impl PrivateDaemon {
    /// Starts `program`; its log lines become events. Must be called from the thread that lives longest.
    pub(super) fn start(
        program: &Path,
        app: &TestedApp,
        loaders: Option<&Path>,
        events: Sender<Event>,
    ) -> Result<Self, String> {
        let dir = TempDir::new("fpd")?;
        // Apps may create their own sockets in it.
        dir.allow_traversal()?;
        let registry = dir.join("r");
        fs::create_dir(&registry)
            .and_then(|()| fs::set_permissions(&registry, fs::Permissions::from_mode(0o755)))
            .map_err(|err| format!("cannot create {}: {err}", registry.display()))?;
        let mut command = Command::new(program);
        command
            .args(flags(&dir, app, loaders))
            .env_clear()
            .envs(app.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/");
        let process = PrivateProcess::start(&mut command, move |logged| {
            // The receiver no longer exists after the diagnosis.
            let _ = events.send(match logged {
                Logged::Line(line) => Event::Line(line),
                Logged::Ended => Event::LogEnded,
            });
        })?;
        Ok(Self { process, _orphans: Orphans, dir })
    }

    /// Returns the socket that accepts requests as from nginx.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// Returns a client of its admin socket.
    pub(super) fn client(&self) -> Option<Client> {
        instance::list(&self.dir.join("r")).ok()?.first().map(Client::new)
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Whether the daemon has exited.
    pub(super) fn has_exited(&mut self) -> bool {
        self.process.has_exited()
    }
}

fn flags(dir: &TempDir, app: &TestedApp, loaders: Option<&Path>) -> Vec<String> {
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let users = &app.users;
    let mut flags = vec![
        path("socket-file", &dir.join("s")),
        "--socket-mode=0600".to_owned(),
        path("instance-registry-dir", &dir.join("r")),
        "--max-pool-size=1".to_owned(),
        // The steps of successful starts are logged at this level.
        "--log-level=info".to_owned(),
        "--log-format=json".to_owned(),
        format!("--shutdown-timeout={SHUTDOWN_SECONDS}"),
        format!("--default-user={}", users.default_user),
        // A refusal by the running daemon is reported before the start; only root can reach this one.
        "--allow-app-users=*".to_owned(),
        "--allow-app-groups=*".to_owned(),
    ];
    flags.extend(users.default_group.as_ref().map(|group| format!("--default-group={group}")));
    flags.extend((!users.switching).then(|| "--no-user-switching".to_owned()));
    flags.extend(loaders.map(|dir| path("loaders-dir", dir)));
    flags
}

impl Drop for Orphans {
    fn drop(&mut self) {
        kill_orphans();
    }
}
