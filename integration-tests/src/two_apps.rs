//! Two apps behind one nginx: a good one that must keep serving, and a bad one that fails.

use crate::app::App;
use crate::daemon::{Daemon, DaemonBuilder};
use crate::http::{Connection, Request};
use crate::language::Language;
use crate::nginx::Nginx;
use crate::one_app::ONE_APP_CONF;
use crate::test_dir::TestDir;

/// The good app answers at `/`, the bad one below `/bad`.
pub struct TwoApps {
    /// The nginx in front of both.
    pub nginx: Nginx,
    /// The daemon.
    pub daemon: Daemon,
    /// The app that fails.
    pub bad: App,
    /// The test's directory.
    pub test_dir: TestDir,
    good_pid: String,
}

impl TwoApps {
    /// Starts both and waits until the good one answers; `lines` are those of the bad one's location.
    pub fn new(
        lines: &str,
        flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
        fill: impl FnOnce(App) -> App,
    ) -> Self {
        Self::on(TestDir::new(), lines, flags, fill)
    }

    /// As [`new`](Self::new), in an existing test directory.
    pub fn on(
        test_dir: TestDir,
        lines: &str,
        flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
        fill: impl FnOnce(App) -> App,
    ) -> Self {
        test_dir.app("app").standard(Language::Ruby);
        let bad = fill(test_dir.app("bad"));
        let daemon = flags(test_dir.daemon()).start();
        let location = format!("location /bad {{ root %%DIR%%/bad/public; {lines} }}");
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &location)).start();
        let good_pid = nginx.get("/pid").expect(200).text().to_owned();
        Self { nginx, daemon, bad, test_dir, good_pid }
    }

    /// Asserts that the good app answers, from its first process.
    #[track_caller]
    pub fn good_app_serves(&self) {
        assert_eq!(self.nginx.get("/pid").expect(200).text(), self.good_pid);
    }

    /// Restarts the good app, which needs the supervisor, and asserts that another process answers. Afterwards
    /// [its first process](Self::good_app_serves) is gone.
    #[track_caller]
    pub fn good_app_restarts(&self) {
        let before = self.nginx.get("/pid").expect(200).text().to_owned();
        let root = self.test_dir.path("app").display().to_string();
        let output = self.daemon.tool("passenger-config", &["restart-app", &root]);
        assert!(output.status.success(), "{output:?}");
        assert_ne!(self.nginx.get("/pid").expect(200).text(), before);
    }

    /// Sends a request without waiting for its response.
    pub fn ask(&self, path: &str) -> Connection {
        let mut client = self.nginx.connect();
        client.send(Request::get(path).bytes("close"));
        client
    }

    /// The name of the bad app's group.
    pub fn bad_group(&self) -> String {
        format!("{} (production)", self.bad.dir().display())
    }

    /// `passenger-status --show=requests`.
    pub fn requests(&self) -> String {
        let output = self.daemon.tool("passenger-status", &["--show=requests", "--no-header"]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Restarts the bad app.
    #[track_caller]
    pub fn restart_bad_app(&self) {
        let root = self.bad.dir().display().to_string();
        let output = self.daemon.tool("passenger-config", &["restart-app", &root]);
        assert!(output.status.success(), "{output:?}");
    }
}
