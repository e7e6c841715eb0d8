//! `passenger-status`: what the daemon is doing, for people and for scripts.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::{choose, requests};
use crate::sys::clock;

/// Shows what a running flying-passenger is doing.
#[derive(Debug, Parser)]
#[command(name = "passenger-status", version)]
pub struct PassengerStatus {
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
    /// Show it anew every SECONDS, until it is interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    watch: Option<u64>,
    /// Accepted for compatibility
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Apps and their processes, as text
    Pool,
    /// The requests under way: who asks what, how far it has come, and since when
    Requests,
    /// The same as JSON
    Server,
    /// Apps and their processes as JSON
    Json,
    /// The same as XML
    Xml,
}

impl PassengerStatus {
    /// Shows it; the status to exit with.
    pub fn run(&self) -> ExitCode {
        let shown = match self.watch {
            None => show(self).map(|text| print(&text)),
            Some(seconds) => watch(self, Duration::from_secs(seconds.max(1))),
        };
        match shown {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("passenger-status: {message}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Never ends but by a signal, a reader that went away, or a daemon that is gone.
fn watch(arguments: &PassengerStatus, pause: Duration) -> Result<(), String> {
    loop {
        let text = show(arguments)?;
        // The cursor goes home; the rest of each line, and of the screen, is cleared.
        let text = text.replace('\n', "\x1b[K\n");
        let mut out = std::io::stdout();
        if out.write_all(format!("\x1b[H{text}\x1b[J").as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(pause);
    }
}

fn show(arguments: &PassengerStatus) -> Result<String, String> {
    let client = choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let color = arguments.force_colors || std::io::stdout().is_terminal();
    let path = match arguments.show {
        Show::Pool => format!("/pool.txt?colorize={color}&verbose={}", arguments.verbose),
        Show::Requests | Show::Server => "/requests.json".to_owned(),
        Show::Json => "/pool.json".to_owned(),
        Show::Xml => "/pool.xml".to_owned(),
    };
    let reply = client.get(&path).map_err(|err| err.to_string())?;
    if reply.status != 200 {
        return Err(format!("the daemon refuses: {}", reply.body.trim_end()));
    }
    let machine_readable = matches!(arguments.show, Show::Json | Show::Server | Show::Xml);
    let body = match arguments.show {
        Show::Requests => {
            requests::render(&serde_json::from_str(&reply.body).map_err(|err| err.to_string())?)
        }
        _ => reply.body,
    };
    if machine_readable || arguments.no_header {
        return Ok(body);
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
    Ok(header + &body)
}

fn print(text: &str) {
    // A reader that went away, as `head` does, is no failure of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
