//! A test's directory, in which it starts nginx, daemons, apps and browsers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::App;
use crate::chromium::Chromium;
use crate::context::TestContext;
use crate::daemon::DaemonBuilder;
use crate::gate::GateBuilder;
use crate::limits::raise_open_files;
use crate::nginx::Nginx;
use crate::root::make_router_user;
use crate::runit::Runit;

/// A test's directory. Removed when the test passes; kept, with its logs printed, when it fails.
pub struct TestDir {
    inner: Arc<TestContext>,
}

impl TestDir {
    /// Creates an empty directory.
    #[allow(clippy::new_without_default, reason = "it creates a directory")]
    pub fn new() -> Self {
        make_router_user();
        raise_open_files();
        Self { inner: Arc::new(TestContext::new()) }
    }

    /// The path of the directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.dir.join(name)
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("fly.sock")
    }

    /// A TCP port that is reserved until the end of the test.
    pub fn port(&self) -> u16 {
        self.inner.port()
    }

    /// Creates an app's directory.
    pub fn app(&self, name: &str) -> App {
        App::new(&self.inner, name)
    }

    /// A daemon to be configured and started.
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

    /// A gate to be configured and started, in front of this test's daemon.
    pub fn gate(&self) -> GateBuilder {
        GateBuilder::new(&self.inner)
    }

    /// A headless browser.
    pub fn chromium(&self) -> Chromium {
        Chromium::start(&self.inner)
    }

    /// Declares that the test expects an alarming log line with this text.
    pub fn expect_log_line(&self, text: &str) {
        self.inner.expected.lock().unwrap().push(text.to_owned());
    }

    /// A file by which a test and its app signal each other.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.path("scratch").join(name)
    }

    /// Lets an app continue that waits at the gate `name`.
    pub fn open_gate(&self, name: &str) {
        fs::write(self.scratch(&format!("{name}.go")), "go").unwrap();
    }

    /// All running processes that this test has started.
    pub fn processes(&self) -> Vec<u32> {
        self.inner.processes()
    }
}
