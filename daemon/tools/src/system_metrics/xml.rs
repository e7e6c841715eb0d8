//! The report as XML.

use std::fmt::{Display, Write};

use super::Wanted;
use super::report::{Report, Usage};

/// Renders the requested sections.
pub(super) fn render(report: &Report, wanted: Wanted) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<system_metrics version=\"1.0\">".to_owned();
    if wanted.general {
        section(&mut out, "general", |out| general(out, report));
    }
    if wanted.cpu {
        section(&mut out, "cpu", |out| cpu(out, report));
    }
    if wanted.memory {
        section(&mut out, "memory", |out| memory(out, report));
    }
    out + "</system_metrics>\n"
}

fn general(out: &mut String, report: &Report) {
    // A custom kernel's name may contain XML markup.
    value(out, "kernel_version", report.kernel.replace(['<', '>', '&'], "?"));
    value(out, "uptime", report.uptime);
    for (name, average) in
        ["load_average_1", "load_average_5", "load_average_15"].iter().zip(report.load.averages)
    {
        value(out, name, average);
    }
    value(out, "fork_rate", format_args!("{:.1}", report.fork_rate));
    value(out, "process_count", report.load.processes);
    value(out, "running_process_count", report.load.running);
}

fn cpu(out: &mut String, report: &Report) {
    value(out, "count", report.cpus.len());
    section(out, "average", |out| usage(out, report.cpu));
    for each in &report.cpus {
        section(out, "each", |out| usage(out, *each));
    }
    if let Some(cpus) = report.limits.cpus {
        value(out, "limit", format_args!("{cpus:.2}"));
    }
}

fn usage(out: &mut String, usage: Usage) {
    let Usage { busy, user, nice, system, idle, iowait, steal } = usage;
    let all = [
        ("usage", busy),
        ("user", user),
        ("nice", nice),
        ("system", system),
        ("idle", idle),
        ("iowait", iowait),
        ("steal", steal),
    ];
    all.into_iter().for_each(|(name, percent)| value(out, name, percent));
}

fn memory(out: &mut String, report: &Report) {
    let memory = &report.memory;
    value(out, "ram_total", memory.total);
    value(out, "ram_available", memory.available);
    value(out, "ram_used", memory.total.saturating_sub(memory.available));
    value(out, "swap_total", memory.swap_total);
    value(out, "swap_used", memory.swap_total.saturating_sub(memory.swap_free));
    value(out, "swap_in_rate", format_args!("{:.0}", report.swap_in));
    value(out, "swap_out_rate", format_args!("{:.0}", report.swap_out));
    if let Some((most, used)) = report.limits.memory {
        value(out, "limit", most / 1024);
        value(out, "limit_used", used / 1024);
    }
}

fn section(out: &mut String, name: &str, fill: impl FnOnce(&mut String)) {
    // Writing to a string cannot fail.
    let _ = write!(out, "<{name}>");
    fill(out);
    let _ = write!(out, "</{name}>");
}

fn value(out: &mut String, name: &str, value: impl Display) {
    let _ = write!(out, "<{name}>{value}</{name}>");
}
