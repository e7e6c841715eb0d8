//! `passenger-config`: what an administrator does to a running daemon.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use flying_passenger::tools::{self, Client};
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
    /// Restarts apps: requests wait for the new processes, none is lost
    RestartApp(RestartApp),
    /// Takes one process out of service once its requests are done
    DetachProcess(DetachProcess),
    /// Shows what is in effect: the daemon's options and who decided them, and each app's settings
    Settings(Settings),
    /// Has the daemon open its log file anew, after it was renamed
    ReopenLogs(ReopenLogs),
    /// Lists the running instances
    ListInstances(ListInstances),
}

#[derive(Debug, Args)]
struct RestartApp {
    /// Restarts every app whose root is this directory or lies below it
    #[arg(value_name = "PATH-PREFIX", required_unless_present = "name", conflicts_with = "name")]
    path_prefix: Option<PathBuf>,
    /// Restarts the app group of exactly this name
    #[arg(long, value_name = "GROUP")]
    name: Option<String>,
    /// Exit successfully although no app matches
    #[arg(long)]
    ignore_app_not_running: bool,
    /// Exit successfully although no daemon is running
    #[arg(long)]
    ignore_passenger_not_running: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(err) => {
            let _ = err.print();
            return if err.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let done = match arguments.command {
        Command::RestartApp(restart) => restart_app(&restart),
        Command::DetachProcess(detach) => detach_process(&detach),
        Command::Settings(settings) => show_settings(&settings),
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

fn restart_app(arguments: &RestartApp) -> Result<(), String> {
    let client = match tools::choose(arguments.instance.as_deref()) {
        Ok(client) => client,
        Err(tools::ChooseError::NotRunning(_)) if arguments.ignore_passenger_not_running => {
            eprintln!("flying-passenger is not running.");
            return Ok(());
        }
        Err(err) => return Err(err.to_string()),
    };
    let names = matching(&client, arguments)?;
    if names.is_empty() {
        let message = "no app matches; passenger-status lists those that are running";
        if arguments.ignore_app_not_running {
            eprintln!("{message}");
            return Ok(());
        }
        return Err(message.into());
    }
    for name in names {
        println!("Restarting {name}");
        let order = json!({ "name": name, "restart_method": "blocking" });
        expect_success(&client.post("/pool/restart_app_group.json", &order).map_err(|err| err.to_string())?)?;
    }
    Ok(())
}

/// Names of the groups that the arguments mean.
fn matching(client: &Client, arguments: &RestartApp) -> Result<Vec<String>, String> {
    let pool = pool(client)?;
    let prefix = arguments.path_prefix.as_deref().map(absolute).transpose()?;
    let text = |group: &Value, key: &str| group[key].as_str().unwrap_or_default().to_owned();
    let meant = list(&pool, "groups").iter().filter(|group| match (&arguments.name, &prefix) {
        (Some(name), _) => text(group, "name") == *name,
        (None, Some(prefix)) => tools::matches_prefix(Path::new(&text(group, "app_root")), prefix),
        (None, None) => false,
    });
    Ok(meant.map(|group| text(group, "name")).collect())
}

/// The path from `/`; symlinks stay, as app roots keep theirs.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    let here =
        std::env::current_dir().map_err(|err| format!("the current directory cannot be found: {err}"))?;
    let joined = here.join(path);
    Ok(joined.components().filter(|part| *part != std::path::Component::CurDir).collect())
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
    println!("The log file is opened anew; the log says how that went.");
    Ok(())
}

fn show_settings(arguments: &Settings) -> Result<(), String> {
    let client = tools::choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let pool = pool(&client)?;
    if arguments.json {
        let shown = json!({
            "options": pool["options"], "without_effect": pool["without_effect"],
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

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn pool(client: &Client) -> Result<Value, String> {
    let reply = client.get("/pool.json").map_err(|err| err.to_string())?;
    expect_success(&reply)?;
    serde_json::from_str(&reply.body).map_err(|err| err.to_string())
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

fn expect_success(reply: &tools::Reply) -> Result<(), String> {
    if (200..300).contains(&reply.status) {
        return Ok(());
    }
    let message = serde_json::from_str::<Value>(&reply.body).ok();
    let message = message.and_then(|value| value["message"].as_str().map(str::to_owned));
    Err(message.unwrap_or_else(|| format!("the daemon refuses with status {}", reply.status)))
}
