//! Tests of docs/DAEMON.md against the code: the documented flags are those that the daemon accepts.

use clap::CommandFactory;
use protocol::setting::{Flag, FlagValue, Setting};
use protocol::setting_table::all;
use protocol::setting_type::{LOG_LEVELS, SettingType};
use protocol::settings::Value;

use super::own_settings::OWN_SETTINGS;
use super::setting_flags::{of_apps, of_daemon, with_flag};
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
fn the_page_has_the_directives_and_defaults_of_the_flags() {
    for row in rows() {
        let name = row.flag.trim_start_matches('-');
        let of = |mut settings: Box<dyn Iterator<Item = (&'static Setting, Flag)>>| {
            settings.find(|(_, flag)| flag.name == name).map(|(setting, _)| setting)
        };
        let (of_app, of_daemon) = (of(Box::new(of_apps())), of(Box::new(of_daemon())));
        let own = of(Box::new(with_flag(OWN_SETTINGS)));
        let Some(setting) = of_app.or(of_daemon).or(own) else { continue };
        if own.is_none() {
            assert_eq!(row.directive, format!("`passenger_{}`", setting.name), "{}", row.flag);
        }
        assert_eq!(row.effect.contains("at the start"), of_daemon.is_none(), "{}", row.flag);
        let default = setting.default().map(shown).unwrap_or_default();
        assert!(
            row.default.contains(&default),
            "{}: the default is {default:?}, not {}",
            row.flag,
            row.default
        );
    }
    let documented = rows();
    let is_documented = |flag: Flag| documented.iter().any(|row| row.flag == format!("--{}", flag.name));
    assert!(super::setting_flags::all().all(|(_, flag)| is_documented(flag)));
}

fn shown(default: Value) -> String {
    match default {
        Value::Flag(flag) => if flag { "on" } else { "off" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text,
        other => panic!("{other:?} is not the value of a flag"),
    }
}

#[test]
fn the_help_has_the_default_of_each_setting() {
    let without = ["socket_file", "pid_file"];
    let flags = super::setting_flags::all().filter(|(setting, _)| !without.contains(&setting.name));
    for (setting, flag) in flags.filter(|(_, flag)| matches!(flag.value, FlagValue::Named(_))) {
        let kind = if setting.help.contains("[nginx or ") { "[nginx or " } else { "[default: " };
        assert_eq!(
            kind == "[nginx or ",
            of_daemon().any(|(each, _)| each.name == setting.name),
            "--{}",
            flag.name
        );
        let (_, default) =
            setting.help.rsplit_once(kind).unwrap_or_else(|| panic!("--{} has no default", flag.name));
        let expected = match setting.default().map(shown) {
            None => continue,
            Some(text) if text.is_empty() => continue,
            Some(text) => format!("{text}]"),
        };
        assert_eq!(default, expected, "--{}", flag.name);
    }
}

/// Returns the fields of an entry of docs/DIRECTIVES.md: its syntax and its default.
fn entry(page: &str, directive: &str) -> (String, String) {
    let entry = page.split("\n### ").find(|entry| entry.lines().next() == Some(directive));
    let entry = entry.unwrap_or_else(|| panic!("{directive} is not on the page"));
    let field = |name: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(&format!("* {name}: ")));
        line.unwrap_or_else(|| panic!("{directive} has no {name}")).to_owned()
    };
    (field("Syntax"), field("Default"))
}

#[test]
fn the_page_of_directives_has_the_types_and_defaults() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DIRECTIVES.md");
    let page = std::fs::read_to_string(page).unwrap();
    for setting in all() {
        let directive = setting.directive.to_str().unwrap();
        let (syntax, default) = entry(&page, directive);
        let values = syntax.trim_matches('`').trim_start_matches(directive).trim_end_matches(';').trim();
        let is_right = match setting.of_type {
            SettingType::Flag => values == "on | off",
            SettingType::Number { min: 1, .. } => values == "<count>",
            SettingType::Number { also: Some(-1), .. } => values == "<number> | -1",
            SettingType::Number { min: 64, .. } => values == "<descriptors>",
            SettingType::Number { .. } => {
                ["<number>", "<megabytes>", "<bytes>", "<status>"].contains(&values)
            }
            SettingType::Seconds => values == "<seconds>",
            SettingType::OneOf(words) => values == words.join(" | "),
            SettingType::LogLevel => values == LOG_LEVELS.join(" | "),
            SettingType::Map => values.starts_with('<') && values.matches('<').count() == 2,
            _ => values.starts_with('<') && values.matches('<').count() >= 1,
        };
        assert!(is_right, "{directive}: {values:?} is not the syntax of {:?}", setting.of_type);
        if let Some(typed) = default.strip_prefix(&format!("`{directive} ")) {
            let typed = typed.trim_end_matches('`').trim_end_matches(';');
            assert_eq!(setting.default().map(shown).as_deref(), Some(typed), "{directive}");
        } else {
            let depends = match setting.default().map(shown).as_deref() {
                None | Some("" | "0") => true,
                Some(text) => setting.ignored.is_some() || default.contains(text),
            };
            assert!(depends, "{directive}: the default is not {default:?}");
        }
    }
}

#[test]
fn the_page_knows_every_hook() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DAEMON.md")).unwrap();
    let table = page.split("| hook |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let names = table.lines().skip(2).map(|line| line.split('`').nth(1).unwrap());
    assert_eq!(names.collect::<Vec<_>>(), Hook::ALL.map(Hook::name));
}
