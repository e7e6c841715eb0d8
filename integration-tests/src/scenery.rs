//! One app behind one nginx: the setup of most tests.

use crate::app::App;
use crate::daemon::{Daemon, DaemonBuilder};
use crate::language::Language;
use crate::nginx::Nginx;
use crate::stage::Stage;

/// An nginx.conf with one app for the whole server. `%%APP%%` is replaced by more lines.
pub const ONE_APP: &str = r#"
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%STAGE%%/app/public;
            client_max_body_size 0;
            passenger_enabled on;
            %%APP%%
        }
    }
"#;

/// [`ONE_APP`] with everything started. The fields are in the order in which they are dropped.
pub struct Scene {
    /// The nginx in front of the app.
    pub nginx: Nginx,
    /// The daemon.
    pub daemon: Daemon,
    /// The app.
    pub app: App,
    /// The test's directory.
    pub stage: Stage,
}

impl Scene {
    /// Starts the standard app of a language.
    pub fn of(language: Language) -> Self {
        Self::with(language, "", |daemon| daemon)
    }

    /// As [`Scene::of`], with more lines of configuration and flags for the daemon.
    pub fn with(language: Language, lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        let lines = format!("{} {lines}", language.directives());
        Self::set(&lines, flags, |app| app.standard(language))
    }

    /// Starts an app that `fill` writes, with more lines of configuration.
    pub fn app(lines: &str, fill: impl FnOnce(App) -> App) -> Self {
        Self::set(lines, |daemon| daemon, fill)
    }

    /// The general case.
    pub fn set(
        lines: &str,
        flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
        fill: impl FnOnce(App) -> App,
    ) -> Self {
        let stage = Stage::new();
        let app = fill(stage.app("app"));
        let daemon = flags(stage.daemon()).start();
        let nginx = stage.nginx(&ONE_APP.replace("%%APP%%", lines)).start();
        Self { nginx, daemon, app, stage }
    }

    /// The PID of the process that answers.
    #[track_caller]
    pub fn app_pid(&self) -> u32 {
        let response = self.nginx.get("/pid").expect(200);
        response.text().trim().parse().unwrap_or_else(|_| panic!("not a PID: {}", response.text()))
    }
}
