//! The report as text.

use std::fmt::{Arguments, Write};

use super::Wanted;
use super::report::{Report, Usage};

/// Renders the requested sections; headings are yellow on blue with `color`.
pub(super) fn render(report: &Report, wanted: Wanted, color: bool) -> String {
    let mut sections = Vec::new();
    if wanted.general {
        sections.push(bar("General", color) + &general(report));
    }
    if wanted.cpu {
        sections.push(bar("CPU", color) + &cpu(report));
    }
    if wanted.memory {
        sections.push(bar("Memory", color) + &memory(report));
    }
    sections.join("\n")
}

fn general(report: &Report) -> String {
    let mut out = String::new();
    let [one, five, fifteen] = report.load.averages;
    line(&mut out, "Kernel version", format_args!("{}", report.kernel));
    line(&mut out, "Uptime", format_args!("{}", duration(report.uptime)));
    line(&mut out, "Load averages", format_args!("{one:.2}, {five:.2}, {fifteen:.2}"));
    line(&mut out, "Fork rate", format_args!("{:.1}/sec", report.fork_rate));
    line(
        &mut out,
        "Processes",
        format_args!("{}, of which {} run", report.load.processes, report.load.running),
    );
    out
}

fn cpu(report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, "Number of CPUs", format_args!("{}", report.cpus.len()));
    each(&mut out, report, "Average CPU usage", |usage| {
        let Usage { busy, user, nice, system, idle, .. } = usage;
        format!("{busy:>3}%  -- {user:>3}% user, {nice:>3}% nice, {system:>3}% system, {idle:>3}% idle")
    });
    each(&mut out, report, "I/O pressure", |usage| format!("{:>3}%", usage.iowait));
    each(&mut out, report, "Stolen by other VMs", |usage| format!("{:>3}%", usage.steal));
    if let Some(cpus) = report.limits.cpus {
        line(&mut out, "Control group", format_args!("at most {cpus:.2} CPUs"));
    }
    out
}

/// Writes a line for all CPUs together, and one for each if there are several.
fn each(out: &mut String, report: &Report, title: &str, show: impl Fn(Usage) -> String) {
    line(out, title, format_args!("{}", show(report.cpu)));
    for (at, usage) in report.cpus.iter().enumerate().filter(|_| report.cpus.len() > 1) {
        line(out, &format!("  CPU {}", at + 1), format_args!("{}", show(*usage)));
    }
}

fn memory(report: &Report) -> String {
    let mut out = String::new();
    let memory = &report.memory;
    let mut part = |title: &str, kib: u64, of: u64| {
        let percent = (kib * 100).checked_div(of).unwrap_or_default();
        line(&mut out, title, format_args!("{:>6} MB ({percent:>3}%)", kib / 1024));
    };
    part("RAM total", memory.total, memory.total);
    part("RAM used", memory.total.saturating_sub(memory.available), memory.total);
    part("RAM available", memory.available, memory.total);
    part("Swap total", memory.swap_total, memory.swap_total);
    part("Swap used", memory.swap_total.saturating_sub(memory.swap_free), memory.swap_total);
    line(&mut out, "Swap in", format_args!("{:>6.0} KB/sec", report.swap_in));
    line(&mut out, "Swap out", format_args!("{:>6.0} KB/sec", report.swap_out));
    if let Some((most, used)) = report.limits.memory {
        let mib = |bytes: u64| bytes / (1 << 20);
        line(&mut out, "Control group", format_args!("at most {} MB, {} MB are used", mib(most), mib(used)));
    }
    out
}

fn bar(title: &str, color: bool) -> String {
    let bar = format!("------------- {title} -------------");
    if color { format!("\x1b[44m\x1b[33m\x1b[1m{bar}\x1b[0m\n") } else { format!("{bar}\n") }
}

fn line(out: &mut String, title: &str, value: Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{title:<19} : {value}");
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match days {
        0 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h {minutes}m"),
    }
}
