//! `passenger-status`: state of the daemon, its apps and requests, as text, JSON or XML.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::client::{RequestError, Response};
use super::instance_arg::choose;
use super::requests;
use common::sys::clock;

/// Shows the state of a running flying-passenger.
#[derive(Debug, Parser)]
#[command(name = "passenger-status", version)]
pub struct PassengerStatus {
    /// Name of the instance, or the beginning of it; required if several instances run
    instance: Option<String>,
    /// Information to show
    #[arg(long, value_enum, default_value_t = Show::Pool, value_name = "WHAT")]
    show: Show,
    /// Omit the header
    #[arg(long)]
    no_header: bool,
    /// Use colours even if the output is not a terminal
    #[arg(long)]
    force_colors: bool,
    /// Repeat the output every SECONDS, until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    watch: Option<u64>,
    /// Also show the address of each process, and the app of each request that waits while its app has no process
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Apps and their processes, as text
    Pool,
    /// Active requests: client, request line, phase and its duration
    Requests,
    /// Active requests as JSON
    Server,
    /// Apps and their processes as JSON
    Json,
    /// Apps and their processes as XML
    Xml,
    /// Not available: names the alternatives
    Backtraces,
}

/// A message for the administrator and an exit status.
type Failure = (String, u8);

/// The message for `--show=backtraces`.
const NO_BACKTRACES: &str = "backtraces of the daemon are not available; --show=requests shows what each request \
waits for, and \"kill -QUIT PID\" makes a Ruby or Python process write the backtraces of its threads to the log";
/// The exit status when the daemon rejects the request, as in Passenger.
const REFUSED: u8 = 2;

impl PassengerStatus {
    /// Runs the command and returns the exit status.
    pub fn run(&self) -> ExitCode {
        let shown = match self.watch {
            None => show(self).map(|text| print(&text)),
            Some(seconds) => watch(self, Duration::from_secs(seconds.max(1))),
        };
        match shown {
            Ok(()) => ExitCode::SUCCESS,
            Err((message, status)) => {
                eprintln!("passenger-status: {message}");
                ExitCode::from(status)
            }
        }
    }
}

/// Shows the output repeatedly, until a signal, a closed pipe or a failure.
fn watch(arguments: &PassengerStatus, pause: Duration) -> Result<(), Failure> {
    loop {
        let text = show(arguments)?;
        // Move the cursor home; clear the rest of each line and of the screen.
        let text = text.replace('\n', "\x1b[K\n");
        let mut out = std::io::stdout();
        if out.write_all(format!("\x1b[H{text}\x1b[J").as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(pause);
    }
}

fn show(arguments: &PassengerStatus) -> Result<String, Failure> {
    let client = choose(arguments.instance.as_deref()).map_err(|err| (err.to_string(), 1))?;
    let color = arguments.force_colors || std::io::stdout().is_terminal();
    let path = match arguments.show {
        Show::Pool => format!("/pool.txt?colorize={color}&verbose={}", arguments.verbose),
        Show::Requests | Show::Server => "/requests.json".to_owned(),
        Show::Json => "/pool.json".to_owned(),
        Show::Xml => "/pool.xml".to_owned(),
        Show::Backtraces => return Err((NO_BACKTRACES.to_owned(), 1)),
    };
    let response = client.request("GET", &path, "").and_then(Response::text);
    let mut body = response.map_err(|err| {
        let status = if matches!(err, RequestError::Rejected(..)) { REFUSED } else { 1 };
        (err.to_string(), status)
    })?;
    let machine_readable = matches!(arguments.show, Show::Json | Show::Server | Show::Xml);
    if arguments.show == Show::Requests {
        body = requests::render(&serde_json::from_str(&body).map_err(|err| (err.to_string(), 1))?);
    }
    // A person reads it; scripts get one line.
    if matches!(arguments.show, Show::Json | Show::Server) && std::io::stdout().is_terminal() {
        let json: serde_json::Value = serde_json::from_str(&body).map_err(|err| (err.to_string(), 1))?;
        body = format!("{json:#}\n");
    }
    if machine_readable || arguments.no_header {
        return Ok(body);
    }
    let header = format!(
        "Version : {}\nDate    : {}\nInstance: {} (flying-passenger/{})\n\n",
        env!("CARGO_PKG_VERSION"),
        clock::local_now().strftime("%Y-%m-%d %H:%M:%S"),
        client.found.properties.name,
        client.found.properties.version
    );
    Ok(header + &body)
}

fn print(text: &str) {
    // A closed pipe, as with `head`, is not an error.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
