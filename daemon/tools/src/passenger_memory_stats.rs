//! `passenger-memory-stats`: memory used by nginx, the daemon and the apps.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use super::memory_stats::{Kind, render, rows};
use common::sys::clock;

/// Shows the memory usage of nginx, flying-passenger and the apps.
#[derive(Debug, Parser)]
#[command(name = "passenger-memory-stats", version)]
pub struct PassengerMemoryStats {
    /// Omit nginx
    #[arg(long)]
    no_nginx: bool,
    /// Accepted for compatibility, without effect
    #[arg(long)]
    no_apache: bool,
}

impl PassengerMemoryStats {
    /// Prints the tables and returns the exit status.
    pub fn run(&self) -> ExitCode {
        let now = clock::local_now().strftime("%Y-%m-%d %H:%M:%S");
        let mut out = format!("Version: {}\nDate   : {now}\n\n", env!("CARGO_PKG_VERSION"));
        if !self.no_nginx {
            out += &render("Nginx processes", &rows(Kind::Nginx), true);
            out.push('\n');
        }
        out += &render("Passenger processes", &rows(Kind::Passenger), false);
        if out.contains(" (?)") {
            eprintln!(
                "passenger-memory-stats: cannot read the memory of other users' processes; run this command as root"
            );
        }
        // A closed pipe, as with `head`, is not an error.
        let _ = std::io::stdout().write_all(out.as_bytes());
        ExitCode::SUCCESS
    }
}
