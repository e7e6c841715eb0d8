//! Where a test plays: what it puts there comes in, nginx, daemons, apps and browsers go out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::App;
use crate::backstage::Backstage;
use crate::chromium::Chromium;
use crate::daemon::DaemonBuilder;
use crate::limits::raise_open_files;
use crate::nginx::Nginx;
use crate::root::make_router_user;
use crate::runit::Runit;

/// Where a test plays. Removed when the test has passed, kept and its logs printed when it failed.
pub struct Stage {
    inner: Arc<Backstage>,
}

impl Stage {
    /// An empty stage.
    #[allow(clippy::new_without_default, reason = "it creates a directory")]
    pub fn new() -> Self {
        make_router_user();
        raise_open_files();
        Self { inner: Arc::new(Backstage::new()) }
    }

    /// The stage's directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// A path on the stage.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.dir.join(name)
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("fly.sock")
    }

    /// A free TCP port, ours until the stage falls.
    pub fn port(&self) -> u16 {
        self.inner.port()
    }

    /// An app's directory, to be filled.
    pub fn app(&self, name: &str) -> App {
        App::new(&self.inner, name)
    }

    /// A daemon, to be given flags and started.
    pub fn daemon(&self) -> DaemonBuilder {
        DaemonBuilder::new(&self.inner)
    }

    /// A daemon under runit, which reads this file.
    pub fn runit(&self, config: &Path) -> Runit {
        Runit::start(&self.inner, config)
    }

    /// An nginx with this whole configuration, in which `%%GLOBALS%%`, `%%HTTP%%`, `%%PORT%%`, `%%SOCKET%%`,
    /// `%%STAGE%%` and `%%MODULE%%` are filled in. To be started.
    pub fn nginx(&self, conf: &str) -> Nginx {
        Nginx::new(&self.inner, conf)
    }

    /// A browser without a screen, for pages that live.
    pub fn chromium(&self) -> Chromium {
        Chromium::start(&self.inner)
    }

    /// Declares that an alarming log line with this text belongs to the test.
    pub fn expect_log_line(&self, text: &str) {
        self.inner.expected.lock().unwrap().push(text.to_owned());
    }

    /// A file through which a test and its app give each other signs.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.path("scratch").join(name)
    }

    /// Lets an app go on that waits at the gate `name`.
    pub fn open_gate(&self, name: &str) {
        fs::write(self.scratch(&format!("{name}.go")), "go").unwrap();
    }

    /// Every process started below this stage that is alive.
    pub fn processes(&self) -> Vec<u32> {
        self.inner.processes()
    }
}
