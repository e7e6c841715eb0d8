//! `passenger-config doctor`: diagnoses why an app does not start, or does not answer.
//!
//! [`running_daemons`] reads what running daemons report about the app, and [`app`] examines its directory. A private
//! daemon ([`private_daemon`]) starts it and sends it one request ([`conversation`]); [`run`] follows the events, and
//! [`diagnosis`] reports the problem and what to do. The running daemons are queried only, not changed.

pub(crate) mod app;
mod arguments;
mod conversation;
mod diagnosis;
mod events;
mod listening;
pub(crate) mod nginx_access;
pub(crate) mod no_app;
mod private_daemon;
pub(crate) mod process_tree;
mod report;
pub(crate) mod run;
pub(crate) mod running_daemons;
pub(crate) mod settings;

use std::process::ExitCode;

pub use self::arguments::Doctor;
use self::conversation::Question;
use self::events::Events;
use self::private_daemon::PrivateDaemon;
use self::report::Report;
use super::Outcome;
use super::installation::Installation;
use app::TestedApp;
use run::{AppRun, Patience};

/// The exit status after Ctrl-C, as in shells.
const INTERRUPTED: u8 = 130;

impl Doctor {
    /// Starts the app, sends the request, and prints the report.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator when the run cannot begin.
    pub fn run(&self) -> Outcome {
        if !self.path.starts_with('/') {
            return Err(format!("the path must begin with a slash: {}", self.path));
        }
        let app = match TestedApp::examine(self) {
            Ok(app) => app,
            Err(none) => return Ok(report::no_app(&none, self.json)),
        };
        let report = Report::new(&app, &self.path, self.json);
        report.introduce();
        let run = self.run_app(&app, &report)?;
        if run.interrupted {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(report.conclude(&run, diagnosis::of(&app, &run).as_ref()))
    }

    /// The private daemon exists only during this call; nothing of it is left afterwards.
    fn run_app(&self, app: &TestedApp, report: &Report<'_>) -> Result<AppRun, String> {
        let program = Installation::of_this_program()?.program("flying-passenger");
        let program =
            program.ok_or("flying-passenger is not beside this program; validate-install tells more")?;
        let patience = Patience::of(app, self.timeout);
        let question = Question::new(app, &self.path, patience.in_all())?;
        let events = Events::new()?;
        let loaders = self.loaders_dir.as_deref();
        let mut daemon = PrivateDaemon::start(&program, app, loaders, events.sender.clone())?;
        Ok(AppRun::follow(&events, &mut daemon, question, &patience, |line| report.show(line)))
    }
}
