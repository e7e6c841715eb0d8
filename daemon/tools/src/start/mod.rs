//! `passenger start`, `stop` and `status`: one app for development, without nginx.
//!
//! [`options`] joins the flags with `Passengerfile.json`, and [`found_app`] finds the app. [`running`] claims the app's
//! runtime directory, in which `stop` and `status` find it. [`servers`] starts a private daemon and a private gate, which
//! end with this process, even if it is killed. [`watch`] notices changed files; [`session`] follows the events until a
//! signal. [`identity`] is who everything runs as, and [`background`] moves it away from the terminal.

mod address;
mod arguments;
mod background;
mod events;
mod found_app;
mod identity;
mod lookup;
mod options;
mod output;
mod passengerfile;
mod pid_file;
mod restarts;
mod running;
mod servers;
mod servers_config;
mod session;
mod transcript;
mod watch;

pub(crate) use self::arguments::Start;
use self::background::Background;
use self::events::Events;
use self::found_app::FoundApp;
pub(crate) use self::lookup::{Status, Stop};
use self::options::Options;
use self::running::RuntimeDir;
use super::Outcome;

impl Start {
    /// Runs the app until it is stopped.
    pub(crate) fn run(&self) -> Outcome {
        let root = self.root()?;
        identity::leave_root(&root, self.user.as_deref())?;
        let options = Options::new(self, root)?;
        let app = FoundApp::find(&options)?;
        if options.daemonize && !Background::is_this_process() {
            return Background::start(&options);
        }
        let background = Background::enter()?;
        let runtime = RuntimeDir::claim(&options.root)?;
        // Before any thread is started, so that signals reach this thread's descriptor only.
        let events = Events::new()?;
        session::run(&options, &app, &runtime, &events, background)
    }
}
