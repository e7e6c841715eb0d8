//! What the tools tell of the machine: `system-metrics` and `system-properties`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use stage::{binary, interruptible, signal};

fn metrics(arguments: &[&str]) -> String {
    let output =
        Command::new(binary("passenger-config")).arg("system-metrics").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn metrics_have_three_sections_that_can_be_left_out() {
    let all = metrics(&[]);
    let sections = ["- General -", "- CPU -", "- Memory -"];
    assert!(sections.iter().all(|section| all.contains(section)), "{all}");
    for line in
        ["Kernel version ", "Load averages ", "Fork rate ", "Average CPU usage ", "RAM total ", "Swap in "]
    {
        assert!(all.lines().any(|each| each.starts_with(line)), "{line} is not in {all}");
    }
    for (at, flag) in ["--no-general", "--no-cpu", "--no-memory"].iter().enumerate() {
        let some = metrics(&[flag]);
        for (other, section) in sections.iter().enumerate() {
            assert_eq!(some.contains(section), other != at, "{flag}: {some}");
        }
    }
    let bar = "\x1b[44m\x1b[33m\x1b[1m------------- CPU -------------\x1b[0m\n";
    assert!(!all.contains('\x1b') && metrics(&["--force-colors"]).contains(bar));
}

#[test]
fn metrics_as_xml_are_for_programs() {
    let script = "import sys, xml.etree.ElementTree as tree
metrics = tree.parse(sys.stdin).getroot()
assert int(metrics.find('cpu/count').text) == len(metrics.findall('cpu/each'))
used, total = (int(metrics.find('memory/ram_' + name).text) for name in ('used', 'total'))
assert 0 < used < total
print(metrics.get('version'), metrics.find('general/kernel_version').text)
";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(metrics(&["--xml"]).as_bytes()).unwrap();
    let read = python.wait_with_output().unwrap();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), format!("1.0 {kernel}"));
}

#[test]
fn metrics_can_be_watched() {
    for flag in ["--watch=1", "-w1"] {
        let mut child = interruptible("passenger-config")
            .args(["system-metrics", "--no-cpu", "--no-memory", flag])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It stays open: the tool would end by itself when nobody reads.
        let mut heads = lines.map_while(Result::ok).filter(|line| line.contains("- General -"));
        assert_eq!(heads.by_ref().take(2).count(), 2, "{flag}");
        signal(child.id(), Signal::SIGINT);
        assert!(!child.wait().unwrap().success());
    }
    let refused =
        Command::new(binary("passenger-config")).args(["system-metrics", "--watch=0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn properties_are_facts_of_the_machine() {
    let output = Command::new(binary("passenger-config")).arg("system-properties").output().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (facts["version"].as_str(), facts["os"].as_str()),
        (Some(env!("CARGO_PKG_VERSION")), Some("linux"))
    );
    assert_eq!(facts["uid"], nix::unistd::geteuid().as_raw());
    assert!(facts["programs"]["python3"].as_str().unwrap().starts_with("Python 3."), "{facts}");
    assert!(facts["memory_kib"].as_u64().unwrap() > 0 && facts["distribution"]["id"].is_string(), "{facts}");
}
