//! The pages of docs/coming-from name options that the other servers have, as far as these are installed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use test_support::{skipped, workspace};

/// Options of plugins that Debian does not package, and tools beside uWSGI.
const NOT_OF_UWSGI: [&str; 4] = ["gevent", "import uwsgi", "uwsgi.websocket_handshake", "uwsgitop"];

const PUMAS_DSL: &str = "require 'puma'; require 'puma/configuration'; require 'puma/dsl'; puts Puma::DSL.instance_methods(false)";

const GUNICORNS_SETTINGS: &str = "import gunicorn.config
for setting in gunicorn.config.KNOWN_SETTINGS: print(setting.name, *(setting.cli or []))";

#[test]
fn options_of_puma_exist() {
    let test = "options_of_puma_exist";
    let Some(known) = words(test, "ruby", &["-e", PUMAS_DSL]) else { return };
    let Some(flags) = words(test, "puma", &["--help"]) else { return };
    let known = known.union(&flags).cloned().collect();
    let not_of_puma = ["RACK_ENV", "puma_worker_killer", "pumactl"];
    assert_known("puma", &known, |option| not_of_puma.contains(&option));
}

#[test]
fn options_of_gunicorn_exist() {
    let test = "options_of_gunicorn_exist";
    let Some(known) = words(test, "/usr/bin/python3", &["-c", GUNICORNS_SETTINGS]) else { return };
    let not_of_gunicorn = ["EnvironmentFile", "MODULE:CALLABLE", "WEB_CONCURRENCY", "eventlet"];
    assert_known("gunicorn", &known, |option| not_of_gunicorn.contains(&option));
}

#[test]
fn options_of_uwsgi_exist() {
    let test = "options_of_uwsgi_exist";
    let plugins = ["--plugin", "python3", "--plugin", "http", "--help"];
    let Some(known) = words(test, "uwsgi", &plugins) else { return };
    let known = known.into_iter().map(|word| word.trim_start_matches("--").to_owned()).collect();
    assert_known("uwsgi", &known, |option| NOT_OF_UWSGI.contains(&option));
}

/// Every word that a program prints; `None` if it cannot be run.
fn words(test: &str, program: &str, arguments: &[&str]) -> Option<BTreeSet<String>> {
    let output = Command::new(program).args(arguments).output().ok();
    let Some(output) = output.filter(|output| output.status.success()) else {
        skipped(test, &format!("{program} or a part of it is not installed: build/deps.sh bench"));
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split(|each: char| each.is_whitespace() || "|=,".contains(each));
    Some(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// Checks the first column of the table under "Options".
fn assert_known(page: &str, known: &BTreeSet<String>, is_exempt: impl Fn(&str) -> bool) {
    let text = fs::read_to_string(workspace().join(format!("docs/coming-from/{page}.md"))).unwrap();
    let table = text.split("## Options\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let options: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(options.len() > 20, "docs/coming-from/{page}.md: {options:?}");
    let is_known = |option: &&str| {
        let name = option.split([' ', ',', '=']).next().unwrap_or_default().trim_matches('"');
        known.contains(name) || is_exempt(option.trim_matches(['"', '=']))
    };
    let unknown: Vec<&&str> = options.iter().filter(|option| !is_known(option)).collect();
    assert!(unknown.is_empty(), "docs/coming-from/{page}.md: {page} has no {unknown:?}");
}
