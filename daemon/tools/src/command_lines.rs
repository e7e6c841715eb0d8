//! The command lines of the installed programs, for man pages, completions and the tests that compare them with the
//! documentation.

use clap::{Command, CommandFactory};

use crate::{Passenger, PassengerConfig, PassengerMemoryStats, PassengerStatus};
use common::config::Arguments;

/// Returns the command line of each program, with its subcommands.
pub fn all() -> [Command; 5] {
    [
        Arguments::command(),
        Passenger::command(),
        PassengerStatus::command(),
        PassengerConfig::command(),
        PassengerMemoryStats::command(),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::{Arg, ArgAction};
    use common::config::{Hook, file_keys};

    use super::*;

    /// Returns the text of all test files of these directories.
    fn tests(directories: &[&str]) -> String {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut paths: Vec<_> = directories.iter().map(|directory| tree.join(directory)).collect();
        let mut text = String::new();
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
        text
    }

    /// Returns what a test of the argument contains: its flag, and each of its possible values.
    fn expected(argument: &Arg) -> Vec<String> {
        if matches!(argument.get_action(), ArgAction::Help | ArgAction::Version) {
            return Vec::new();
        }
        let values = argument.get_possible_values();
        let values = values.iter().filter(|_| argument.get_action().takes_values()).map(|it| it.get_name());
        argument
            .get_long()
            .map(|long| format!("--{long}"))
            .into_iter()
            .chain(values.map(str::to_owned))
            .collect()
    }

    #[test]
    fn tests_contain_every_command_flag_value_key_and_hook() {
        let mut wanted = Vec::new();
        for mut program in all() {
            program.build();
            wanted.extend(program.get_arguments().flat_map(expected));
            for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
                wanted.push(format!("\"{}\"", command.get_name()));
                wanted.extend(command.get_arguments().flat_map(expected));
            }
        }
        wanted.extend(file_keys().map(|key| format!("{key} = ")));
        wanted.extend(Hook::ALL.map(|hook| hook.name().to_owned()));
        let tests = tests(&["integration-tests/tests", "daemon/common", "daemon/supervisor/tests"]);
        let missing: Vec<_> = wanted.iter().filter(|text| !tests.contains(*text)).collect();
        assert!(
            wanted.len() > 200 && missing.is_empty(),
            "of {}, no test contains {missing:#?}",
            wanted.len()
        );
    }
}
