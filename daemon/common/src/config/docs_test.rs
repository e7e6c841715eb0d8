//! Tests of docs/DAEMON.md against the code: the documented flags are those that the daemon accepts.

use clap::CommandFactory;
use protocol::settings::Value;

use super::app_defaults::KNOWN;
use super::shared::SHARED;
use super::{Arguments, Hook};

/// A row of the page's table.
struct Row {
    flag: String,
    value: Option<String>,
    default: String,
    directive: String,
    effect: String,
}

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DAEMON.md")).unwrap();
    page.lines().filter(|line| line.starts_with("| `--")).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [flag, default, directive, effect] = cells[..] else { panic!("{line} has not four cells") };
    let mut words = flag.trim_matches('`').splitn(2, ' ').map(str::to_owned);
    Row {
        flag: words.next().unwrap_or_default(),
        value: words.next(),
        default: default.to_owned(),
        directive: directive.to_owned(),
        effect: effect.to_owned(),
    }
}

#[test]
fn the_page_lists_every_flag_with_its_value() {
    let command = Arguments::command();
    let flags = command.get_arguments().filter(|argument| !argument.is_positional());
    let taken = flags.map(|argument| {
        let takes_value = argument.get_action().takes_values();
        let value = argument.get_value_names().filter(|_| takes_value).map(|names| names[0].to_string());
        (format!("--{}", argument.get_long().unwrap()), value)
    });
    let mut taken: Vec<_> = taken.filter(|(flag, _)| !["--help", "--version"].contains(&&**flag)).collect();
    let mut listed: Vec<_> = rows().into_iter().map(|row| (row.flag, row.value)).collect();
    taken.sort();
    listed.sort();
    assert_eq!(listed, taken);
}

#[test]
fn the_page_knows_directives_and_defaults() {
    for row in rows() {
        if let Some(known) = KNOWN.iter().find(|known| known.flag == row.flag) {
            assert_eq!(row.directive, format!("`passenger_{}`", known.name), "{}", row.flag);
            assert!(row.default.contains(&shown(&known.kind.default())), "{}: {}", row.flag, row.default);
        }
        let Some(shared) = SHARED.iter().find(|shared| shared.flag == row.flag) else {
            let is_fixed = row.effect == "at the start" || row.flag == "--ctl";
            assert!(is_fixed, "{} takes effect at the start: nginx has no word in it", row.flag);
            continue;
        };
        assert_eq!(row.directive, format!("`passenger_{}`", shared.name), "{}", row.flag);
        assert!(!row.effect.contains("at the start"), "{}", row.flag);
        let default = shown(&shared.kind.default());
        let says = default.is_empty() || row.default.starts_with(&format!("`{default}`"));
        assert!(says, "{}: the default is {default:?}, not {}", row.flag, row.default);
    }
    let documented = rows();
    assert!(SHARED.iter().all(|shared| documented.iter().any(|row| row.flag == shared.flag)));
}

fn shown(default: &Value) -> String {
    match default {
        Value::Flag(flag) => if *flag { "on" } else { "off" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        other => panic!("no option is {other:?}"),
    }
}

#[test]
fn the_help_tells_what_nginx_may_set() {
    let command = Arguments::command();
    for argument in command
        .get_arguments()
        .filter(|argument| !argument.is_positional() && argument.get_action().takes_values())
    {
        let flag = format!("--{}", argument.get_long().unwrap());
        let told = argument.get_help().is_some_and(|help| help.to_string().contains("[nginx or "));
        assert_eq!(told, SHARED.iter().any(|shared| shared.flag == flag), "{flag}");
    }
}

#[test]
fn the_page_knows_every_hook() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DAEMON.md")).unwrap();
    let table = page.split("| hook |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let names = table.lines().skip(2).map(|line| line.split('`').nth(1).unwrap());
    assert_eq!(names.collect::<Vec<_>>(), Hook::ALL.map(Hook::name));
}
