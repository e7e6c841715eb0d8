//! `passenger-config validate-install`: checks whether everything that was installed fits together. The checks run in
//! order, and each that fails says what to do. Nothing is changed.

mod daemons;
mod module;
mod nginx_conf;
mod programs;
mod sites;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use super::installation::Installation;

/// Checks whether everything that was installed fits together.
#[derive(Debug, Args)]
pub(crate) struct ValidateInstall {
    /// Accepted for compatibility: there are no prompts
    #[arg(long)]
    auto: bool,
    /// Do not use colours on a terminal
    #[arg(long)]
    no_colors: bool,
    /// Omit the summary
    #[arg(long)]
    no_summary: bool,
    /// Configuration file of nginx to check [default: that of the installed nginx]
    #[arg(long, value_name = "FILE")]
    nginx_conf: Option<PathBuf>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The check succeeded; with the result.
    Ok(String),
    /// The check does not apply here; with the reason.
    Skipped(String),
    /// There is a problem that does not prevent operation; with what to do.
    Warned(String),
    /// There is a problem; with what to do.
    Failed(String),
}

type Check = (&'static str, fn(&Installation) -> Verdict);

/// All checks.
const CHECKS: [Check; 10] = [
    ("whether all programs exist and are of one release", programs::are_of_one_release),
    ("whether apps can read the loaders", programs::loaders_are_readable),
    ("for interpreters", programs::interpreters),
    ("for the nginx module", module::exists),
    ("whether nginx loads the module", module::loads),
    ("for a user that the router can run as", daemons::router_user),
    ("the directory where daemons register", daemons::registry),
    ("systemd's units", daemons::units),
    ("whether running daemons respond", daemons::respond),
    ("whether running daemons are of this release", daemons::are_of_this_release),
];

/// The last check, of nginx's configuration.
const SITES: &str = "whether the sites of nginx's configuration reach a daemon";

/// The exit status when there are warnings but no failures.
const WARNED: u8 = 2;

impl ValidateInstall {
    /// Runs the checks and prints the results.
    pub(super) fn run(&self) -> Outcome {
        let installation = Installation::of_this_program()?;
        let color = std::io::stdout().is_terminal() && !self.no_colors;
        let (mut failures, mut warnings) = (0, 0);
        let checks = CHECKS.into_iter().map(|(what, check)| (what, check(&installation)));
        let of_sites = || sites::reach_a_daemon(self.nginx_conf.as_deref());
        for (what, verdict) in checks.chain(std::iter::once_with(|| (SITES, of_sites()))) {
            show(what, &verdict, color);
            failures += u32::from(matches!(verdict, Verdict::Failed(_)));
            warnings += u32::from(matches!(verdict, Verdict::Warned(_)));
        }
        if !self.no_summary {
            match (failures, warnings) {
                (0, 0) => println!("\nEverything looks good."),
                _ => println!("\nDetected {failures} error(s), {warnings} warning(s)."),
            }
        }
        Ok(match (failures, warnings) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(WARNED),
            _ => ExitCode::FAILURE,
        })
    }
}

fn show(what: &str, verdict: &Verdict, color: bool) {
    let (mark, paint, more) = match verdict {
        Verdict::Ok(result) => ("✓", "32", result),
        Verdict::Skipped(reason) => ("-", "0", reason),
        Verdict::Warned(advice) => ("!", "33", advice),
        Verdict::Failed(advice) => ("✗", "31", advice),
    };
    let mark = if color { format!("\x1b[{paint}m{mark}\x1b[0m") } else { mark.to_owned() };
    println!(" * Checking {what}... {mark}");
    for line in more.lines() {
        println!("   {line}");
    }
    if matches!(verdict, Verdict::Warned(_) | Verdict::Failed(_)) {
        println!();
    }
}
