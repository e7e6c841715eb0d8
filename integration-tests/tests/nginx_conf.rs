//! nginx loads every configuration in the documentation.

use std::fs;

use test_support::{TestDir, module, workspace};

use crate::documentation::pages;

#[test]
fn every_example_is_accepted_by_nginx() {
    let mut examples: Vec<_> = fs::read_dir(workspace().join("nginx-conf"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    examples.push(workspace().join("packaging/fallback.conf"));
    examples.sort();
    assert!(examples.len() >= 4, "{examples:?}");
    for example in examples {
        accepted(&example.display().to_string(), &fs::read_to_string(&example).unwrap());
    }
}

#[test]
fn every_configuration_in_the_documentation_is_accepted_by_nginx() {
    let mut shown = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = text.split("```nginx\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks {
            accepted(&page.display().to_string(), block);
            shown.push(page.file_name().unwrap().to_owned());
        }
    }
    assert!(shown.iter().any(|name| name == "README.md"), "the README shows a configuration: {shown:?}");
}

/// Loads a configuration with what belongs to a machine replaced.
fn accepted(name: &str, conf: &str) {
    let test_dir = TestDir::new();
    let conf =
        if conf.contains("http {") || conf.contains("http{") { conf.to_owned() } else { wrapped(conf) };
    let nginx = test_dir.nginx(&on_this_machine(&conf, ""));
    let test = nginx.test_config();
    assert!(test.status.success(), "{name}: {}", nginx.error_log() + &String::from_utf8_lossy(&test.stderr));
    assert!(module().exists());
}

/// Replaces what belongs to a machine: module, ports, user, certificates and log files. `more` is added to `http`.
pub(crate) fn on_this_machine(conf: &str, more: &str) -> String {
    let mut local: Vec<String> = Vec::new();
    for line in conf.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        match word {
            "load_module" | "user" | "pid" | "daemon" | "worker_processes" => {}
            "listen" => local.push("listen 127.0.0.1:%%PORT%%;".to_owned()),
            "include" => local.push("include /etc/nginx/mime.types;".to_owned()),
            "http" => local.push(format!("{line} %%HTTP%% {more}")),
            "access_log" | "error_log" => {}
            _ => local.push(line.to_owned()),
        }
    }
    format!("%%GLOBALS%%\n# passenger\n{}", local.join("\n"))
}

fn wrapped(conf: &str) -> String {
    let inner = if conf.contains("server {") { conf.to_owned() } else { format!("server {{\n{conf}\n}}") };
    let fly_with = if conf.contains("passenger_fly_with") { "" } else { "passenger_fly_with %%SOCKET%%;" };
    format!("events {{ }}\nhttp {{\n{fly_with}\n{inner}\n}}")
}
