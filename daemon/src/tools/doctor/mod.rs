//! `passenger-config doctor`: why does this app not start, or not answer?
//!
//! [`patient`] looks at the app, with what serving daemons know of it ([`known`]). A daemon of its own
//! ([`private_daemon`]) starts it and gives it one request ([`conversation`]); [`course`] follows what happens, and
//! [`diagnosis`] says in plain words what is wrong and what to do. The daemons that serve are asked, and not touched.

mod absent;
mod asked;
mod conversation;
mod course;
mod diagnosis;
mod events;
mod family;
mod known;
mod listening;
mod patient;
mod private_daemon;
mod report;
mod way;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use module_core::app_kind::AppType;

use self::conversation::Question;
use self::course::{Course, Patience};
use self::events::Events;
use self::patient::Patient;
use self::private_daemon::PrivateDaemon;
use self::report::Report;
use super::Outcome;
use super::installation::Installation;

/// Tells why an app does not start or answer.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The app's directory: the one that holds public
    app: PathBuf,
    /// Its type, as with passenger_app_type [default: found out as nginx does]
    #[arg(long = "type", value_name = "TYPE", value_parser = AppType::WORDS)]
    app_type: Option<String>,
    /// Runs it as this user, as with passenger_user; for root
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Runs it with this group, as with passenger_group; for root
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// As with passenger_app_env, such as development
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// As with passenger_ruby
    #[arg(long, value_name = "PATH")]
    ruby: Option<String>,
    /// As with passenger_python
    #[arg(long, value_name = "PATH")]
    python: Option<String>,
    /// As with passenger_nodejs
    #[arg(long, value_name = "PATH")]
    nodejs: Option<String>,
    /// As with passenger_startup_file
    #[arg(long, value_name = "FILE")]
    startup_file: Option<String>,
    /// Runs it by this command, as with passenger_app_start_command
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["app_type", "startup_file"])]
    start_command: Option<String>,
    /// A variable for it, as with passenger_env_var; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Asks for this path, with its query
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
    /// Most seconds to start, and as many to answer [default: passenger_start_timeout or 90, and 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
    /// Where the loaders are [default: found from where this program is]
    #[arg(long, value_name = "DIR")]
    loaders_dir: Option<PathBuf>,
    /// As JSON, when it is over
    #[arg(long)]
    json: bool,
}

/// The exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

impl Doctor {
    /// Starts the app, asks it, and tells.
    ///
    /// # Errors
    ///
    /// A sentence for the administrator when it cannot even begin.
    pub fn run(&self) -> Outcome {
        if !self.path.starts_with('/') {
            return Err(format!("the path must begin with a slash: {}", self.path));
        }
        let patient = match Patient::examine(self) {
            Ok(patient) => patient,
            Err(none) => return Ok(report::no_patient(&none, self.json)),
        };
        let report = Report::new(&patient, &self.path, self.json);
        report.introduce();
        let course = self.treat(&patient, &report)?;
        if course.interrupted {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(report.conclude(&course, diagnosis::of(&patient, &course).as_ref()))
    }

    /// The private daemon lives in here, and nothing of it when this returns.
    fn treat(&self, patient: &Patient, report: &Report<'_>) -> Result<Course, String> {
        let program = Installation::of_this_program()?.program("flying-passenger");
        let program =
            program.ok_or("flying-passenger is not beside this program; validate-install tells more")?;
        let patience = Patience::of(patient, self.timeout);
        let question = Question::new(patient, &self.path, patience.in_all())?;
        let events = Events::new()?;
        let loaders = self.loaders_dir.as_deref();
        let mut daemon = PrivateDaemon::start(&program, patient, loaders, events.sender.clone())?;
        Ok(Course::follow(&events, &mut daemon, question, &patience, |line| report.show(line)))
    }
}
