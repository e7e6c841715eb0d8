//! The configuration file, in TOML: parsed into the text of each flag, with the line of every error.
//!
//! A key is the flag's name with `_` for `-`, or the directive's name without `passenger_` if there is a directive.
//! Only the types of values are checked here; the values are checked together with those of flags.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors};
use super::file_values::{File, FileValue};
use super::gate;
use super::setting_flags::all;
use super::similar::suggestion;
use super::trusted::trusted;
use super::value_type::TomlType as Type;

/// The table of hook programs.
const HOOKS: &str = "hooks";

/// Returns every key outside of `[hooks]`, with its flag, without `--`, and type.
pub(super) fn keys() -> impl Iterator<Item = (&'static str, &'static str, Type)> {
    all().map(|(setting, flag)| (setting.name, flag.name, Type::of(setting.of_type)))
}

/// Returns the value as the text of a flag.
pub(super) fn flag_text(of_type: Type, value: &DeValue<'_>) -> Result<String, &'static str> {
    match (of_type, value) {
        (Type::Number | Type::Threads, DeValue::Integer(number)) if number.radix() == 10 => {
            Ok(number.as_str().to_owned())
        }
        (Type::Flag, DeValue::Boolean(flag)) => Ok(if *flag { "on" } else { "off" }.to_owned()),
        (Type::Text | Type::Path | Type::Threads, DeValue::String(text)) => Ok(text.to_string()),
        (Type::Number, _) => Err("must be a number without quotes, such as 300"),
        (Type::Threads, _) => Err("must be a number without quotes, such as 4, or \"auto\""),
        (Type::Flag, _) => Err("must be true or false, without quotes"),
        (Type::Text, _) => Err("must be text in quotes"),
        (Type::Path, _) => Err("must be a path in quotes"),
    }
}

/// Reads the file at `path` for a daemon that runs as `euid`.
pub(super) fn read(path: &Path, euid: Uid, errors: &mut ConfigErrors) -> File {
    let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    match trusted(&path, euid).and_then(|()| fs::read_to_string(&path).map_err(|why| why.to_string())) {
        Ok(text) => parse(&path.display().to_string(), &text, errors),
        Err(why) => {
            errors.push(ConfigError::new("--config", format!("{}: {why}", path.display())));
            File::default()
        }
    }
}

fn parse(path: &str, text: &str, errors: &mut ConfigErrors) -> File {
    let line = |at: usize| format!("{path}, line {}", 1 + text[..at.min(text.len())].matches('\n').count());
    let mut file = File::default();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(why) => {
            let place = why.span().map_or_else(|| path.to_owned(), |span| line(span.start));
            errors.push(ConfigError::new("", why.message()).at(place));
            return file;
        }
    };
    for (key, value) in table.get_ref() {
        let (name, place) = (key.get_ref().as_ref(), line(key.span().start));
        if name == HOOKS {
            read_hooks(&mut file, value.get_ref(), &place, line, errors);
        } else if name == gate::GATE {
            file.gate = gate::read_gate(value.get_ref(), &place, &line, errors);
        } else if name == gate::APPS {
            read_apps(&mut file, value.get_ref(), &place, &line, errors);
        } else if let Some((key, flag, of_type)) = keys().find(|(key, ..)| *key == name) {
            match flag_text(of_type, value.get_ref()) {
                Ok(text) if of_type == Type::Path && !text.starts_with('/') && !text.is_empty() => {
                    errors.push(ConfigError::value(key, &text, "must be an absolute path").at(place));
                }
                Ok(text) => {
                    file.values.insert(flag, FileValue { text, line: place });
                }
                Err(must) => errors.push(ConfigError::new(key, must).at(place)),
            }
        } else {
            let known = keys().map(|(key, ..)| key).chain([HOOKS, gate::GATE, gate::APPS]);
            let message = format!("unknown option \"{name}\"{}", suggestion(name, known, "the options are"));
            errors.push(ConfigError::new("", message).at(place));
        }
    }
    file
}

fn read_apps(
    file: &mut File,
    value: &DeValue<'_>,
    place: &str,
    line: &impl Fn(usize) -> String,
    errors: &mut ConfigErrors,
) {
    let DeValue::Array(entries) = value else {
        let message = "must be a list of tables: write [[apps]] on a separate line";
        errors.push(ConfigError::new(gate::APPS, message).at(place));
        return;
    };
    for entry in entries {
        let place = line(entry.span().start);
        let Some(app) = gate::read_app(entry.get_ref(), &place, line, errors) else { continue };
        if let Some(host) = file.apps.iter().find_map(|other| app.shared_host(other)) {
            let path = if app.base_uri.is_empty() { "/" } else { &app.base_uri };
            let message =
                format!("{host} with the path \"{path}\" is already the place of another application");
            errors.push(ConfigError::new(gate::APPS, message).at(place));
        } else {
            file.apps.push(app);
        }
    }
}

fn read_hooks(
    file: &mut File,
    value: &DeValue<'_>,
    place: &str,
    line: impl Fn(usize) -> String,
    errors: &mut ConfigErrors,
) {
    const MUST: &str = "must be the path of a program in quotes, or several: [\"/one\", \"/two\"]";
    let DeValue::Table(table) = value else {
        let message = format!("must be a table: write [{HOOKS}] on a separate line");
        errors.push(ConfigError::new(HOOKS, message).at(place));
        return;
    };
    for (name, value) in table {
        let (name, line) = (name.get_ref(), line(name.span().start));
        let programs: Option<Vec<_>> = match value.get_ref() {
            DeValue::String(program) => Some(vec![program.to_string()]),
            DeValue::Array(programs) => {
                programs.iter().map(|one| one.get_ref().as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        match programs {
            Some(programs) => file.hooks.extend(
                programs
                    .iter()
                    .map(|program| FileValue { text: format!("{name}={program}"), line: line.clone() }),
            ),
            None => errors.push(ConfigError::new(name.to_string(), MUST).at(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::arguments::Arguments;
    use super::*;

    fn errors_in(text: &str) -> Vec<String> {
        let mut errors = ConfigErrors::default();
        parse("/etc/x.toml", text, &mut errors);
        let errors = errors.unless_any(()).unwrap_err();
        errors.iter().map(ConfigError::to_string).collect()
    }

    #[test]
    fn every_flag_has_a_key() {
        let command = Arguments::command();
        let flags = command.get_arguments().filter_map(clap::Arg::get_long).map(|flag| format!("--{flag}"));
        let no_key = ["--config", "--ctl", "--daemonize", "--hook", "--help", "--version"];
        let mut flags: Vec<_> = flags.filter(|flag| !no_key.contains(&&**flag)).collect();
        let mut with_key: Vec<_> = keys().map(|(_, flag, _)| format!("--{flag}")).collect();
        flags.sort();
        with_key.sort();
        assert_eq!(with_key, flags);
    }

    #[test]
    fn a_value_is_the_flags_text() {
        let text = "max_pool_size = 1_2\nuser_switching = false\nsocket_mode = '0660'\n[hooks]\nspawn_failed = ['/a', '/b']\n";
        let file = parse("x", text, &mut ConfigErrors::default());
        let value = |flag| file.value(flag).map(|value| value.text.as_str());
        assert_eq!(value("max-pool-size"), Some("12"));
        assert_eq!(value("no-user-switching"), Some("off"));
        assert_eq!(value("socket-mode"), Some("0660"));
        let hooks: Vec<_> = file.hooks.iter().map(|hook| hook.text.as_str()).collect();
        assert_eq!(hooks, ["spawn_failed=/a", "spawn_failed=/b"]);
    }

    #[test]
    fn each_error_names_its_line() {
        let text = "# mine\nmax_pool_size = \"6\"\nsocket_mode = 0o660\nuser_switching = 1\npool_size = 3\nlog_file = \"log/x\"\nhooks = 1\n";
        let errors = errors_in(text);
        let begins = [
            "/etc/x.toml, line 7: hooks: must be a table",
            "/etc/x.toml, line 6: invalid value \"log/x\" in \"log_file\": must be an absolute path",
            "/etc/x.toml, line 2: max_pool_size: must be a number",
            "/etc/x.toml, line 5: unknown option \"pool_size\"; did you mean \"max_pool_size\"?",
            "/etc/x.toml, line 3: socket_mode: must be text in quotes",
            "/etc/x.toml, line 4: user_switching: must be true or false",
        ];
        for begin in begins {
            assert!(errors.iter().any(|line| line.starts_with(begin)), "{begin} is not in {errors:#?}");
        }
        assert_eq!(errors.len(), begins.len());
    }

    #[test]
    fn text_that_is_not_toml_is_reported_with_its_line() {
        let errors = errors_in("max_pool_size = 6\nmax_pool_size: 7\n");
        assert!(errors[0].starts_with("/etc/x.toml, line 2: "), "{errors:?}");
        assert_eq!(errors.len(), 1);
    }
}
