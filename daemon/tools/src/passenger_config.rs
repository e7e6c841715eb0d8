//! `passenger-config`: administration of a running daemon; each command has its own file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::Outcome;
use super::about::{About, Fact};
use super::api_call::ApiCall;
use super::app_mode::{self, MaintenanceApp};
use super::ask_process::AskProcess;
use super::build_native_support::BuildNativeSupport;
use super::chosen_apps::ChosenApps;
use super::detach_process::DetachProcess;
use super::doctor::Doctor;
use super::exec::Exec;
use super::list_instances::ListInstances;
use super::reopen_logs::ReopenLogs;
use super::restart_app::RestartApp;
use super::settings::Settings;
use super::spawn_error::SpawnError;
use super::upgrade_daemon::UpgradeDaemon;
use super::validate_install::ValidateInstall;

/// Administers a running flying-passenger, and shows facts about the installation.
#[derive(Debug, Parser)]
#[command(name = "passenger-config", disable_version_flag = true, arg_required_else_help = true)]
#[command(subcommand_required = false, args_conflicts_with_subcommands = true)]
pub struct PassengerConfig {
    /// The same as "about version"
    #[arg(short = 'V', long)]
    version: bool,
    /// The same as "about root"
    #[arg(long, conflicts_with = "version")]
    root: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Restarts apps as configured, without losing a request
    RestartApp(RestartApp),
    /// Makes the requests of apps wait, until resume-app
    PauseApp(ChosenApps),
    /// Shows the visitors of apps a maintenance page, until resume-app
    MaintenanceApp(MaintenanceApp),
    /// Serves the requests of apps again
    ResumeApp(ChosenApps),
    /// Ends apps after their current requests and removes all data about them; a new request starts them again
    ForgetApp(ChosenApps),
    /// Runs a command with the user, environment and directory of an app: console, migration, cron job
    Exec(Exec),
    /// Shows the report of a failed start, by the error ID in the log or on the error page
    SpawnError(SpawnError),
    /// Sends a request to one process, bypassing nginx, and shows the response
    AskProcess(AskProcess),
    /// Takes one process out of service after its current requests
    DetachProcess(DetachProcess),
    #[command(visible_alias = "config")]
    /// Shows the effective options of the daemon with their sources, and the settings of each app
    Settings(Settings),
    /// Sends a request to the daemon's administration API and shows the response
    ApiCall(ApiCall),
    /// Makes the daemon reopen its log file, after it was renamed
    ReopenLogs(ReopenLogs),
    /// Has the installed program take over from the running one, with the same app processes, and waits for the result
    UpgradeDaemon(UpgradeDaemon),
    /// Lists the running instances
    ListInstances(ListInstances),
    /// Prints a path or another fact of the installation, for scripts
    About(About),
    /// Diagnoses why an app does not start or respond, by starting it with a private daemon
    Doctor(Box<Doctor>),
    /// Builds native support of Ruby's and Python's loaders for the interpreters of this machine
    BuildNativeSupport(BuildNativeSupport),
    /// Checks whether all installed parts fit together, and describes how to fix problems
    ValidateInstall(ValidateInstall),
}

impl PassengerConfig {
    /// Runs the command and returns the exit status.
    pub fn run(&self) -> ExitCode {
        let outcome = match &self.command {
            Some(command) => command.run(),
            None => About { fact: if self.root { Fact::Root } else { Fact::Version } }.run(),
        };
        outcome.unwrap_or_else(|message| {
            eprintln!("passenger-config: {message}");
            ExitCode::FAILURE
        })
    }
}

impl Command {
    fn run(&self) -> Outcome {
        match self {
            Self::About(about) => return about.run(),
            Self::BuildNativeSupport(build) => return build.run(),
            Self::Doctor(doctor) => return doctor.run(),
            Self::Exec(exec) => return exec.run(),
            Self::ValidateInstall(validate) => return validate.run(),
            Self::ListInstances(list) => list.run(),
            Self::RestartApp(restart) => restart.run()?,
            Self::PauseApp(apps) => app_mode::pause(apps)?,
            Self::MaintenanceApp(maintenance) => maintenance.run()?,
            Self::ResumeApp(apps) => app_mode::resume(apps)?,
            Self::ForgetApp(apps) => app_mode::forget(apps)?,
            Self::SpawnError(error) => error.run()?,
            Self::DetachProcess(detach) => detach.run()?,
            Self::Settings(settings) => settings.run()?,
            Self::UpgradeDaemon(upgrade) => upgrade.run()?,
            Self::AskProcess(ask) => ask.run()?,
            Self::ApiCall(call) => call.run()?,
            Self::ReopenLogs(reopen) => reopen.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
