//! `passenger-config`: what an administrator does to a running daemon; each command has a file of its own.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::{
    ApiCall, AskProcess, DetachProcess, ForgetApp, ListInstances, MaintenanceApp, PauseApp, ReopenLogs,
    RestartApp, ResumeApp, Settings, SpawnError,
};

/// Administers a running flying-passenger.
#[derive(Debug, Parser)]
#[command(name = "passenger-config", version)]
pub struct PassengerConfig {
    #[command(subcommand)]
    command: Command,
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
}

impl PassengerConfig {
    /// Carries the command out; the status to exit with.
    pub fn run(&self) -> ExitCode {
        let done = match &self.command {
            Command::RestartApp(restart) => restart.run(),
            Command::PauseApp(pause) => pause.run(),
            Command::MaintenanceApp(maintenance) => maintenance.run(),
            Command::ResumeApp(resume) => resume.run(),
            Command::ForgetApp(forget) => forget.run(),
            Command::SpawnError(error) => error.run(),
            Command::DetachProcess(detach) => detach.run(),
            Command::Settings(settings) => settings.run(),
            Command::AskProcess(ask) => ask.run(),
            Command::ApiCall(call) => call.run(),
            Command::ReopenLogs(reopen) => reopen.run(),
            Command::ListInstances(list) => list.run(),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("passenger-config: {message}");
                ExitCode::FAILURE
            }
        }
    }
}
