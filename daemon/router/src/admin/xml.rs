//! The pool as XML, with the elements that scripts for Passenger read.

use std::fmt::{Display, Write};

use protocol::page::escape;

use super::pool::{GroupView, ProcessView, Snapshot};

/// Renders the snapshot as Passenger's `info` of version 3.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut out = Elements("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<info version=\"3\">".to_owned());
    out.value("passenger_version", snapshot.version);
    out.value("scope", snapshot.scope.as_str());
    out.value("group_count", snapshot.groups.len());
    out.value("process_count", snapshot.process_count());
    out.value("max", snapshot.max_pool_size);
    out.value("capacity_used", snapshot.capacity_used);
    let waiting = snapshot.groups.iter().filter(|group| group.processes.is_empty()).map(|group| group.queue);
    out.value("get_wait_list_size", waiting.sum::<usize>());
    out.open("supergroups");
    for group in &snapshot.groups {
        out.open("supergroup");
        out.value("name", &group.name);
        out.value("state", "READY");
        out.value("get_wait_list_size", 0);
        out.value("capacity_used", group.processes.len() + group.spawning);
        out.0.push_str("<group default=\"true\">");
        write_group(&mut out, group);
        out.close("group");
        out.close("supergroup");
    }
    out.close("supergroups");
    out.close("info");
    out.0.push('\n');
    out.0
}

fn write_group(out: &mut Elements, group: &GroupView) {
    let leaving = |process: &&ProcessView| matches!(process.state, "draining" | "stopping");
    let disabling = group.processes.iter().filter(leaving).count();
    out.value("name", &group.name);
    out.value("component_name", "default");
    out.value("app_root", &group.app_root);
    out.value("app_type", group.app_type);
    out.value("environment", &group.environment);
    out.value("enabled_process_count", group.processes.len() - disabling);
    out.value("disabling_process_count", disabling);
    out.value("disabled_process_count", 0);
    out.value("capacity_used", group.processes.len() + group.spawning);
    out.value("get_wait_list_size", group.queue);
    out.value("disable_wait_list_size", 0);
    out.value("processes_being_spawned", group.spawning);
    if group.spawning > 0 {
        out.value("spawning", "true");
    }
    if group.deployment == "rolling" {
        out.value("restarting", "true");
    }
    out.value("life_status", "ALIVE");
    if let Some(process) = group.processes.first() {
        out.value("user", &process.user);
    }
    out.open("options");
    for setting in group.settings.iter().flatten() {
        if setting.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            out.value(&setting.name, &setting.value);
        }
    }
    out.close("options");
    out.open("processes");
    for process in &group.processes {
        write_process(out, process);
    }
    out.close("processes");
}

fn write_process(out: &mut Elements, process: &ProcessView) {
    let leaving = matches!(process.state, "draining" | "stopping");
    out.open("process");
    out.value("pid", process.pid);
    out.value("concurrency", process.concurrency.unwrap_or(0));
    out.value("sessions", process.sessions);
    out.value("busyness", process.sessions);
    out.value("processed", process.processed);
    out.value("last_used_desc", format_args!("{}s ago", process.last_used));
    out.value("uptime", format_args!("{}s", process.uptime));
    if let Some(revision) = &process.code_revision {
        out.value("code_revision", revision);
    }
    if let Some(native) = &process.native_support {
        out.value("native_support", native);
    }
    out.value("life_status", if process.state == "stopping" { "SHUTDOWN_TRIGGERED" } else { "ALIVE" });
    out.value("enabled", if leaving { "DISABLING" } else { "ENABLED" });
    out.value("has_metrics", "true");
    out.value("cpu", process.cpu);
    out.value("real_memory", process.memory / 1024);
    out.close("process");
}

/// A builder of XML.
struct Elements(String);

impl Elements {
    fn open(&mut self, name: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "<{name}>");
    }

    fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    fn value(&mut self, name: &str, value: impl Display) {
        // XML cannot represent other control characters.
        let is_control = |character: char| character.is_control() && !matches!(character, '\t' | '\n');
        let value = escape(&value.to_string()).replace(is_control, "?");
        let _ = write!(self.0, "<{name}>{value}</{name}>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let mut out = Elements(String::new());
        out.value("name", "/a<b>&\"c\"\u{1b}");
        assert_eq!(out.0, "<name>/a&lt;b&gt;&amp;&quot;c&quot;?</name>");
    }
}
