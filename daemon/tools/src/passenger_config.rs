//! `passenger-config`: administration of a running daemon; each command has its own file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::about::Fact;
use super::{
    About, ApiCall, AskProcess, DetachProcess, Doctor, ForgetApp, ListInstances, MaintenanceApp, Outcome,
    PauseApp, ReopenLogs, RestartApp, ResumeApp, Settings, SpawnError, ValidateInstall,
};

/// Administers a running flying-passenger, and tells about the installation.
#[derive(Debug, Parser)]
#[command(name = "passenger-config", disable_version_flag = true, arg_required_else_help = true)]
#[command(subcommand_required = false, args_conflicts_with_subcommands = true)]
pub struct PassengerConfig {
    /// The same as about version
    #[arg(short = 'V', long)]
    version: bool,
    /// The same as about root
    #[arg(long, conflicts_with = "version")]
    root: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Restarts apps, in the way that their configuration says; no request is lost
    RestartApp(RestartApp),
    /// Lets the requests of apps wait, until resume-app
    PauseApp(PauseApp),
    /// Shows visitors of apps a page that says so, until resume-app
    MaintenanceApp(MaintenanceApp),
    /// Serves the requests of apps again
    ResumeApp(ResumeApp),
    /// Ends apps once their requests are done, and all that is known of them; a request brings them back
    ForgetApp(ForgetApp),
    /// Shows the report of a start that failed, by the error ID in the log or on the error page
    SpawnError(SpawnError),
    /// Sends a request to one process, past nginx, and shows the answer
    AskProcess(AskProcess),
    /// Takes one process out of service once its requests are done
    DetachProcess(DetachProcess),
    #[command(visible_alias = "config")]
    /// Shows what is in effect: the daemon's options and who decided them, and each app's settings
    Settings(Settings),
    /// Sends a request to the daemon's administration API and shows the answer
    ApiCall(ApiCall),
    /// Has the daemon open its log file anew, after it was renamed
    ReopenLogs(ReopenLogs),
    /// Lists the running instances
    ListInstances(ListInstances),
    /// Tells where the parts of the installation are, and what it is, for scripts
    About(About),
    /// Tells why an app does not start or answer: starts it with a daemon of its own, and asks it
    Doctor(Box<Doctor>),
    /// Checks whether everything that was installed fits together, and says what to do where it does not
    ValidateInstall(ValidateInstall),
}

impl PassengerConfig {
    /// Runs the command and returns the exit status.
    pub fn run(&self) -> ExitCode {
        let done = match &self.command {
            Some(command) => command.run(),
            None => About::fact(if self.root { Fact::Root } else { Fact::Version }).run(),
        };
        done.unwrap_or_else(|message| {
            eprintln!("passenger-config: {message}");
            ExitCode::FAILURE
        })
    }
}

impl Command {
    fn run(&self) -> Outcome {
        match self {
            Self::About(about) => return about.run(),
            Self::Doctor(doctor) => return doctor.run(),
            Self::ValidateInstall(validate) => return validate.run(),
            Self::RestartApp(restart) => restart.run(),
            Self::PauseApp(pause) => pause.run(),
            Self::MaintenanceApp(maintenance) => maintenance.run(),
            Self::ResumeApp(resume) => resume.run(),
            Self::ForgetApp(forget) => forget.run(),
            Self::SpawnError(error) => error.run(),
            Self::DetachProcess(detach) => detach.run(),
            Self::Settings(settings) => settings.run(),
            Self::AskProcess(ask) => ask.run(),
            Self::ApiCall(call) => call.run(),
            Self::ReopenLogs(reopen) => reopen.run(),
            Self::ListInstances(list) => list.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}
