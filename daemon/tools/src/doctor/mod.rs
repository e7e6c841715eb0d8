//! `passenger-config doctor`: diagnoses why an app does not start, or does not respond.
//!
//! [`running_daemons`] reads what running daemons report about the app, and [`app`] examines its directory. A private
//! daemon ([`private_daemon`]) starts it and sends it one request ([`test_request`]); [`run`] follows the events, and
//! [`diagnose`] reports the cause and what to do; [`surroundings`] finds what keeps visitors from the app
//! whatever it does. The running daemons are queried only, not changed.

mod answering;
mod app;
mod arguments;
mod diagnose;
mod events;
mod nginx_access;
mod no_app;
mod private_daemon;
mod report;
mod run;
mod running_daemons;
mod settings;
mod surroundings;
mod test_request;
mod virtualenv;

use std::process::ExitCode;

use self::app::TestedApp;
pub(crate) use self::arguments::Doctor;
use self::events::Events;
use self::private_daemon::PrivateDaemon;
use self::report::Report;
use self::run::{AppRun, Timeouts};
use self::test_request::TestRequest;
use super::Outcome;
use super::installation::Installation;

/// The exit status after Ctrl-C, as in shells.
const INTERRUPTED: u8 = 130;

impl Doctor {
    /// Starts the app, sends the request, and prints the report. Fails when the run cannot begin.
    pub(crate) fn run(&self) -> Outcome {
        if !self.path.starts_with('/') {
            return Err(format!("invalid path \"{}\": must begin with a slash", self.path));
        }
        let app = match TestedApp::examine(self) {
            Ok(app) => app,
            Err(no_app) => return Ok(report::print_no_app(&no_app, self.json)),
        };
        let report = Report::new(&app, &self.path, self.json);
        report.print_header();
        let run = self.run_app(&app, &report)?;
        if run.interrupted {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(report.print_result(&run, diagnose::of(&app, &run).as_ref()))
    }

    /// The private daemon exists only during this call; nothing of it is left afterwards.
    fn run_app(&self, app: &TestedApp, report: &Report<'_>) -> Result<AppRun, String> {
        let program = Installation::of_this_program()?.daemon()?;
        let timeouts = Timeouts::of(app, self.timeout);
        let request = TestRequest::new(app, &self.path, timeouts.total())?;
        let events = Events::new()?;
        let loaders = self.loaders_dir.as_deref();
        let mut daemon = PrivateDaemon::start(&program, app, loaders, events.sender.clone())?;
        Ok(AppRun::follow(&events, &mut daemon, request, &timeouts, |line| report.print_log_line(line)))
    }
}
