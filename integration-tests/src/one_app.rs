//! One app behind one nginx: the setup of most tests.

use crate::app::App;
use crate::daemon::{Daemon, DaemonBuilder};
use crate::language::Language;
use crate::nginx::Nginx;
use crate::test_dir::TestDir;

/// An nginx.conf with one app for the whole server. `%%APP%%` is replaced by more lines.
pub const ONE_APP_CONF: &str = r#"
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%DIR%%/app/public;
            client_max_body_size 0;
            passenger_enabled on;
            %%APP%%
        }
    }
"#;

/// [`ONE_APP_CONF`] with everything started. The fields are in the order in which they are dropped.
pub struct OneApp {
    /// The nginx in front of the app.
    pub nginx: Nginx,
    /// The daemon.
    pub daemon: Daemon,
    /// The app.
    pub app: App,
    /// The test's directory.
    pub test_dir: TestDir,
}

impl OneApp {
    /// Starts the standard app of a language.
    pub fn of(language: Language) -> Self {
        Self::with(language, "", |daemon| daemon)
    }

    /// As [`OneApp::of`], with more lines of configuration and flags for the daemon.
    pub fn with(language: Language, lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        let lines = format!("{} {lines}", language.directives());
        Self::custom(&lines, flags, |app| app.standard(language))
    }

    /// Starts an app that `fill` writes, with more lines of configuration.
    pub fn app(lines: &str, fill: impl FnOnce(App) -> App) -> Self {
        Self::custom(lines, |daemon| daemon, fill)
    }

    /// The general case.
    pub fn custom(
        lines: &str,
        flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
        fill: impl FnOnce(App) -> App,
    ) -> Self {
        let test_dir = TestDir::new();
        let app = fill(test_dir.app("app"));
        let daemon = flags(test_dir.daemon()).start();
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", lines)).start();
        Self { nginx, daemon, app, test_dir }
    }

    /// The PID of the process that answers.
    #[track_caller]
    pub fn app_pid(&self) -> u32 {
        let response = self.nginx.get("/pid").expect(200);
        response.text().trim().parse().unwrap_or_else(|_| panic!("not a PID: {}", response.text()))
    }
}
