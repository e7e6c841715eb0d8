//! `passenger-config`: what an administrator does to a running daemon.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use flying_passenger::tools::{
    self, ApiCall, AskProcess, ForgetApp, MaintenanceApp, PauseApp, RestartApp, ResumeApp, SpawnError,
    expect_success, list, pool,
};
use serde_json::{Value, json};

/// Administers a running flying-passenger.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
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

#[derive(Debug, Args)]
struct DetachProcess {
    /// Process ID, as passenger-status shows it
    pid: i32,
    /// Exit successfully although no app process has this PID
    #[arg(long)]
    ignore_nonexistant_pid: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

#[derive(Debug, Args)]
struct Settings {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

#[derive(Debug, Args)]
struct ReopenLogs {
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

#[derive(Debug, Args)]
struct ListInstances {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Say nothing when none is running
    #[arg(short, long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments: Arguments = match tools::arguments() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let done = match arguments.command {
        Command::RestartApp(restart) => restart.run(),
        Command::PauseApp(pause) => pause.run(),
        Command::MaintenanceApp(maintenance) => maintenance.run(),
        Command::ResumeApp(resume) => resume.run(),
        Command::ForgetApp(forget) => forget.run(),
        Command::SpawnError(error) => error.run(),
        Command::DetachProcess(detach) => detach_process(&detach),
        Command::Settings(settings) => show_settings(&settings),
        Command::AskProcess(ask) => ask.run(),
        Command::ApiCall(call) => call.run(),
        Command::ReopenLogs(reopen) => reopen_logs(&reopen),
        Command::ListInstances(list) => list_instances(&list),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("passenger-config: {message}");
            ExitCode::FAILURE
        }
    }
}

fn detach_process(arguments: &DetachProcess) -> Result<(), String> {
    let client = tools::choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let reply = client
        .post("/pool/detach_process.json", &json!({ "pid": arguments.pid }))
        .map_err(|err| err.to_string())?;
    if reply.status == 404 && arguments.ignore_nonexistant_pid {
        eprintln!("No app process has the PID {}.", arguments.pid);
        return Ok(());
    }
    expect_success(&reply)?;
    println!("Process {} detached.", arguments.pid);
    Ok(())
}

fn reopen_logs(arguments: &ReopenLogs) -> Result<(), String> {
    let client = tools::choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let reply = client.post("/reopen_logs.json", &json!({})).map_err(|err| err.to_string())?;
    expect_success(&reply)?;
    println!("The log file is opened anew.");
    Ok(())
}

fn show_settings(arguments: &Settings) -> Result<(), String> {
    let client = tools::choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let pool = pool(&client)?;
    if arguments.json {
        let shown = json!({
            "options": pool["options"], "app_defaults": pool["app_defaults"], "without_effect": pool["without_effect"],
            "groups": list(&pool, "groups").iter().map(|group| json!({
                "name": group["name"], "settings": group["settings"],
            })).collect::<Vec<_>>(),
        });
        println!("{}", serde_json::to_string_pretty(&shown).map_err(|err| err.to_string())?);
        return Ok(());
    }
    println!("Daemon:");
    for option in list(&pool, "options") {
        show_setting(option, option["source"].as_str().unwrap_or_default());
    }
    for setting in list(&pool, "without_effect") {
        show_setting(setting, "nginx, without effect");
    }
    if !list(&pool, "app_defaults").is_empty() {
        println!("\nApps, where nginx says nothing:");
    }
    for default in list(&pool, "app_defaults") {
        show_setting(default, default["source"].as_str().unwrap_or_default());
    }
    for group in list(&pool, "groups") {
        println!("\n{}:", group["name"].as_str().unwrap_or_default());
        for setting in list(group, "settings") {
            show_setting(setting, "nginx");
        }
    }
    Ok(())
}

fn show_setting(setting: &Value, source: &str) {
    let value = match &setting["value"] {
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    };
    println!("  {:<32}  {value:<20}  ({source})", setting["name"].as_str().unwrap_or_default());
}

fn list_instances(arguments: &ListInstances) -> Result<(), String> {
    let instances = tools::instances();
    if arguments.json {
        let all: Vec<_> = instances.iter().map(|found| &found.properties).collect();
        println!("{}", serde_json::to_string_pretty(&all).map_err(|err| err.to_string())?);
        return Ok(());
    }
    if instances.is_empty() {
        if !arguments.quiet {
            println!("There are no flying-passenger instances running.");
        }
        return Ok(());
    }
    println!("{:<25}  {:<7}  Description", "Name", "PID");
    for found in instances {
        let properties = &found.properties;
        println!("{:<25}  {:<7}  {}", properties.name, properties.pid, properties.socket_file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_page_tells_of_every_command() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/TOOLS.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let table =
            docs.split("| command | does |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
        let mut told: Vec<_> =
            table.lines().skip(2).map(|line| line.split('`').nth(1).unwrap().to_owned()).collect();
        let command = Arguments::command();
        let mut taken: Vec<_> = command.get_subcommands().map(|each| each.get_name().to_owned()).collect();
        told.sort();
        taken.sort();
        assert_eq!(told, taken);
    }
}
