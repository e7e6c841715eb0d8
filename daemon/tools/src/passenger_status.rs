//! `passenger-status`: state of the daemon, its apps and requests, as text, JSON or XML.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::{choose, expect_success, requests};
use common::sys::clock;

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
    /// Where each process takes connections, too, and whom requests wait for that have no process yet
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
    /// Nothing, as there is none: says what to use instead
    Backtraces,
}

/// Why nothing is shown.
enum Failure {
    /// The daemon rejected the request.
    Refused(String),
    /// Anything else.
    Failed(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The message for `--show=backtraces`.
const NO_BACKTRACES: &str = "there are no backtraces of the daemon. --show=requests tells what each request \
waits for, and kill -QUIT PID has a Ruby or Python process print where each of its threads is; the daemon's log has it then";
/// The exit status when the daemon rejects the request, as in Passenger.
const REFUSED: u8 = 2;

impl PassengerStatus {
    /// Runs the command and returns the exit status.
    pub fn run(&self) -> ExitCode {
        let shown = match self.watch {
            None => show(self).map(|text| print(&text)),
            Some(seconds) => watch(self, Duration::from_secs(seconds.max(1))),
        };
        let (message, status) = match shown {
            Ok(()) => return ExitCode::SUCCESS,
            Err(Failure::Refused(message)) => (message, ExitCode::from(REFUSED)),
            Err(Failure::Failed(message)) => (message, ExitCode::FAILURE),
        };
        eprintln!("passenger-status: {message}");
        status
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
    let client = choose(arguments.instance.as_deref()).map_err(|err| err.to_string())?;
    let color = arguments.force_colors || std::io::stdout().is_terminal();
    let path = match arguments.show {
        Show::Pool => format!("/pool.txt?colorize={color}&verbose={}", arguments.verbose),
        Show::Requests | Show::Server => "/requests.json".to_owned(),
        Show::Json => "/pool.json".to_owned(),
        Show::Xml => "/pool.xml".to_owned(),
        Show::Backtraces => return Err(Failure::Failed(NO_BACKTRACES.to_owned())),
    };
    let reply = client.get(&path).map_err(|err| err.to_string())?;
    expect_success(&reply).map_err(Failure::Refused)?;
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
    let header = format!(
        "Version : {}\nDate    : {}\nInstance: {} (flying-passenger/{})\n\n",
        env!("CARGO_PKG_VERSION"),
        clock::local_now().strftime("%Y-%m-%d %H:%M:%S"),
        client.properties.name,
        client.properties.version
    );
    Ok(header + &body)
}

fn print(text: &str) {
    // A closed pipe, as with `head`, is not an error.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
