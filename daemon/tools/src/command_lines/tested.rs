//! Test of the tests: reports every flag, value, command, key, hook and signal that no test uses.
//!
//! A use must be in one test function, or in functions and constants that it uses: for a tool, together with the names
//! of the program and the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Arg, ArgAction, Command};

use super::all;
use common::config::{Hook, file_keys};

/// The texts of functions, each with everything it uses.
static SCENES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for dir in
        ["integration-tests/tests", "daemon/common", "daemon/supervisor", "daemon/router", "daemon/tools"]
    {
        sources(&tree.join(dir), &mut files);
    }
    let items: Vec<_> = files.iter().map(|file| items(&test_part(file))).collect();
    let shared: Vec<_> = items.iter().flatten().filter(|item| item.is_shared).collect();
    items.iter().flat_map(|items| items.iter().map(|item| item.with_used(items, &shared))).collect()
});

fn sources(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with(file!()) {
            files.push(path);
        }
    }
}

/// Returns a whole file of tests, or the test module of another file; empty for the files that compare texts.
fn test_part(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let comparing = ["tested.rs", "page.rs", "manual.rs"];
    if comparing.iter().any(|name| file.ends_with(name)) {
        return String::new();
    }
    if file.components().any(|part| part.as_os_str() == "tests") {
        return text;
    }
    text.split_once("#[cfg(test)]\nmod tests {").map(|(_, tests)| tests.to_owned()).unwrap_or_default()
}

/// A function or a constant.
struct Item {
    /// The text by which others use it.
    used: String,
    text: String,
    /// Whether other files may use it.
    is_shared: bool,
}

fn items(text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for line in text.lines() {
        let (begin, is_shared) = match line.trim_start().strip_prefix("pub(crate) ") {
            Some(rest) => (rest, true),
            None => (line.trim_start(), false),
        };
        let name = |word, end: &[char]| Some(begin.strip_prefix(word)?.split(end).next()?.to_owned());
        let function = name("fn ", &['(', '<']).map(|name| format!("{name}("));
        if let Some(used) = function.or_else(|| name("const ", &[':', ' '])) {
            items.push(Item { used, text: String::new(), is_shared });
        }
        if let Some(item) = items.last_mut() {
            item.text.push_str(line);
            item.text.push('\n');
        }
    }
    items
}

impl Item {
    /// Returns its text with that of everything it uses, directly or indirectly.
    fn with_used(&self, file: &[Self], shared: &[&Self]) -> String {
        let (mut scene, mut known) = (self.text.clone(), vec![self.used.as_str()]);
        let mut all = || {
            let used = |item: &&Self| !known.contains(&&*item.used) && has_word(&scene, &item.used);
            let item = file.iter().find(used).or_else(|| shared.iter().copied().find(used))?;
            known.push(&item.used);
            scene += &item.text;
            Some(())
        };
        while all().is_some() {}
        scene
    }
}

/// Whether the text contains the word, not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let may_go_on = !word.ends_with(is_part);
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && (may_go_on || !after.starts_with(is_part))
    })
}

fn is_tested(words: &[&str]) -> bool {
    SCENES.iter().any(|scene| words.iter().all(|word| has_word(scene, word)))
}

/// Returns the words that a test of this command contains; the harness starts the daemon.
fn name_of(program: &str, command: Option<&str>) -> Vec<String> {
    let program = Some(program).filter(|program| *program != "flying-passenger");
    let command = command.map(|command| format!("\"{command}\""));
    program.map(str::to_owned).into_iter().chain(command).collect()
}

/// Returns what no test uses of an argument.
fn untested(name: &[String], argument: &Arg) -> Vec<String> {
    let flag = argument.get_long().map(|long| format!("--{long}"));
    if matches!(argument.get_action(), ArgAction::Help | ArgAction::Version) {
        return Vec::new();
    }
    let mut words: Vec<&str> = name.iter().map(String::as_str).collect();
    words.extend(flag.as_deref());
    let uses = |value: &str| {
        let spaced = is_tested(&[&words[..], &[&format!("\"{value}\"")]].concat());
        let Some(flag) = &flag else { return spaced };
        spaced || is_tested(&[&words[..words.len() - 1], &[&format!("{flag}={value}")]].concat())
    };
    let told = |more: String| format!("{} {more}", name.join(" "));
    let mut missing: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| argument.get_num_args().unwrap().takes_values() && !uses(value.get_name()))
        .map(|value| told(format!("{} {}", flag.as_deref().unwrap_or_default(), value.get_name())))
        .collect();
    missing.extend(flag.as_ref().filter(|_| !is_tested(&words)).map(|flag| told(flag.clone())));
    missing
}

#[test]
fn what_no_test_uses_is_found() {
    assert!(is_tested(&["passenger-config", "\"restart-app\"", "--rolling-restart"]));
    assert!(!is_tested(&["passenger-config", "\"doctor\"", "--no-colors"]));
    assert!(!is_tested(&["--no-such-flag-of-any-program"]));
}

#[test]
fn every_flag_value_and_command_has_a_test() {
    let mut missing = Vec::new();
    for mut program in all() {
        program.build();
        let own = [(name_of(program.get_name(), None), program.clone())];
        let commands = program.get_subcommands().filter(|command| command.get_name() != "help");
        let commands =
            commands.map(|command| (name_of(program.get_name(), Some(command.get_name())), command.clone()));
        for (name, command) in own.into_iter().chain(commands) {
            let words: Vec<_> = name.iter().map(String::as_str).collect();
            missing.extend(Some(name.join(" ")).filter(|_| !is_tested(&words)));
            missing.extend(command.get_arguments().flat_map(|argument| untested(&name, argument)));
            let aliases = Command::get_visible_aliases(&command);
            let aliases = aliases.filter(|alias| !is_tested(&[words[0], &format!("\"{alias}\"")]));
            missing.extend(aliases.map(|alias| format!("{} {alias}", words[0])));
        }
    }
    assert!(missing.is_empty(), "no test uses: {missing:#?}");
}

#[test]
fn every_key_of_the_file_has_a_test() {
    let missing: Vec<_> =
        file_keys().filter(|key| !is_tested(&["configured(", &format!("{key} = ")])).collect();
    assert!(missing.is_empty(), "no test has in a configuration file: {missing:#?}");
}

#[test]
fn every_hook_has_a_test() {
    let hooks = Hook::ALL.map(Hook::name);
    let missing: Vec<_> = hooks.iter().filter(|hook| !is_tested(&["--hook", hook])).collect();
    assert!(missing.is_empty(), "no test has programs for: {missing:#?}");
}

#[test]
fn every_signal_has_a_test() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SIGNALS.md")).unwrap();
    let table = page.split("| signal | effect |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let cells = table.lines().skip(2).map(|line| line.split('|').nth(1).unwrap());
    // The kernel sends CHLD whenever a process of any test ends.
    let names = cells.flat_map(|cell| cell.split(',')).map(str::trim).filter(|name| *name != "CHLD");
    let missing: Vec<_> = names.filter(|name| !is_tested(&[&format!("Signal::SIG{name}")])).collect();
    assert!(missing.is_empty(), "no test sends: {missing:#?}");
}
