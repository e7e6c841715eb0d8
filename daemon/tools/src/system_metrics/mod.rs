//! `passenger-config system-metrics`: load, CPU and memory of the machine as text or XML, once or repeatedly.

mod cgroup;
mod report;
mod sample;
mod text;
mod xml;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;

use self::report::Report;
use self::sample::Sample;
use super::Outcome;

/// Shows what the machine is doing.
#[derive(Debug, Args)]
pub struct SystemMetrics {
    /// As XML
    #[arg(long)]
    xml: bool,
    /// Leave kernel, load and processes out
    #[arg(long)]
    no_general: bool,
    /// Leave the processors out
    #[arg(long)]
    no_cpu: bool,
    /// Leave memory and swap out
    #[arg(long)]
    no_memory: bool,
    /// Use colours although the output is no terminal
    #[arg(long)]
    force_colors: bool,
    /// Show them anew every SECONDS, until it is interrupted
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    watch: Option<u64>,
}

/// The requested sections.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    general: bool,
    cpu: bool,
    memory: bool,
}

/// Period over which rates are measured when they are shown once.
const SPAN: Duration = Duration::from_millis(200);

impl SystemMetrics {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Outcome {
        let mut before = Sample::take()?;
        let mut pause = SPAN;
        loop {
            thread::sleep(pause);
            let now = Sample::take()?;
            let text = self.render(&Report::between(&before, &now));
            let mut out = std::io::stdout();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                // A closed pipe, as with `head`, is not an error.
                return Ok(ExitCode::SUCCESS);
            }
            let Some(seconds) = self.watch else { return Ok(ExitCode::SUCCESS) };
            pause = Duration::from_secs(seconds);
            before = now;
        }
    }

    fn render(&self, report: &Report) -> String {
        let wanted = Wanted { general: !self.no_general, cpu: !self.no_cpu, memory: !self.no_memory };
        if self.xml {
            xml::render(report, wanted)
        } else {
            text::render(report, wanted, self.force_colors || std::io::stdout().is_terminal())
        }
    }
}
