//! `passenger-status`: what the daemon is doing, for people and for scripts.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use flying_passenger::sys::clock;
use flying_passenger::tools;

/// Shows what a running flying-passenger is doing.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Name of the instance, or how it begins; needed when several are running
    instance: Option<String>,
    /// What to show
    #[arg(long, value_enum, default_value_t = Show::Pool, value_name = "WHAT")]
    show: Show,
    /// Leave the header out
    #[arg(long)]
    no_header: bool,
    /// Use colours although the output is no terminal
    #[arg(long)]
    force_colors: bool,
    /// Accepted for compatibility
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Apps and their processes, as text
    Pool,
    /// The same as JSON
    Json,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(err) => return usage(&err),
    };
    match show(&arguments) {
        Ok(text) => print(&text),
        Err(message) => {
            eprintln!("passenger-status: {message}");
            ExitCode::FAILURE
        }
    }
}

fn show(arguments: &Arguments) -> Result<String, String> {
    let client = tools::choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let color = arguments.force_colors || std::io::stdout().is_terminal();
    let path = match arguments.show {
        Show::Pool => format!("/pool.txt?colorize={color}&verbose={}", arguments.verbose),
        Show::Json => "/pool.json".to_owned(),
    };
    let reply = client.get(&path).map_err(|err| err.to_string())?;
    if reply.status != 200 {
        return Err(format!("the daemon refuses: {}", reply.body.trim_end()));
    }
    if arguments.show == Show::Json || arguments.no_header {
        return Ok(reply.body);
    }
    let now = clock::local_now();
    let (name, day) = (&client.properties.name, format!("{}-{:02}-{:02}", now.year, now.month, now.day));
    let header = format!(
        "Version : {}\nDate    : {day} {:02}:{:02}:{:02}\nInstance: {name} (flying-passenger/{})\n\n",
        env!("CARGO_PKG_VERSION"),
        now.hour,
        now.minute,
        now.second,
        client.properties.version
    );
    Ok(header + &reply.body)
}

fn print(text: &str) -> ExitCode {
    // A reader that went away, as `head` does, is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Help and version go to stdout with status 0; a mistake to stderr with status 1.
fn usage(err: &clap::Error) -> ExitCode {
    let _ = err.print();
    if err.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
