//! The interpreter, and the directories of programs, that an app's own files ask for.
//!
//! The child searches, after it has assumed the identity of the app's user: the supervisor itself opens no file of an
//! app. Nothing is executed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use detection::interpreter::{Interpreter, Language};
use protocol::request::AppKind;

use super::command::Command;
use common::link::{MAX_PROGRAM, SpawnSpec};

/// Programs of an app's packages, for commands that are found in its directory.
const NODE_PROGRAMS: &str = "node_modules/.bin";

/// What the child searches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search<'a> {
    /// Nothing: the interpreter, or the command, is configured.
    Nothing,
    /// The interpreter of a loader.
    Interpreter(Language, Option<&'a Path>),
    /// The programs of a command that was found in the app's directory.
    Programs(Option<&'a Path>),
}

/// The result of a search.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Toolchain {
    program: Option<PathBuf>,
    /// Directories that come first in `PATH`.
    path: Vec<PathBuf>,
    /// What was found, and why.
    notes: Vec<String>,
}

impl<'a> Search<'a> {
    /// Returns what is to be searched for. Directives take precedence over files of the app.
    pub(super) fn of(spec: &SpawnSpec, home: Option<&'a Path>) -> Self {
        match Language::of(spec.kind) {
            Some(language) if spec.interpreter.is_empty() => Self::Interpreter(language, home),
            None if spec.kind == AppKind::Generic && !spec.found.is_empty() => Self::Programs(home),
            _ => Self::Nothing,
        }
    }
}

impl Toolchain {
    /// Searches with the rights of the calling process.
    pub(super) fn find(search: Search<'_>, root: &Path) -> Self {
        let mut found = Self::default();
        match search {
            Search::Nothing => {}
            Search::Interpreter(language, home) => {
                found.program = found.add(language.interpreter(root, home));
            }
            Search::Programs(home) => {
                for language in Language::ALL {
                    found.add(language.interpreter(root, home));
                }
                let programs = root.join(NODE_PROGRAMS);
                if programs.is_dir() {
                    found.path.push(programs);
                }
            }
        }
        found
    }

    fn add(&mut self, interpreter: Interpreter) -> Option<PathBuf> {
        match interpreter {
            Interpreter::Found { program, why } => {
                self.path.extend(program.parent().map(Path::to_path_buf));
                self.notes.push(format!("{} ({why})", program.display()));
                return Some(program);
            }
            Interpreter::Missing(why) => self.notes.push(format!("the usual interpreter, as {why}")),
            Interpreter::Unspecified => {}
        }
        None
    }

    /// Returns the command with the interpreter that was found.
    pub(super) fn apply(&self, command: &Command) -> Command {
        let Some(program) = &self.program else { return command.clone() };
        // A path that is not UTF-8 stays with the usual interpreter.
        let programs = program.to_str().map_or_else(|| command.programs.clone(), |it| vec![it.to_owned()]);
        Command { programs, arguments: command.arguments.clone() }
    }

    /// Returns the directories before the others of `PATH`.
    pub(super) fn path(&self) -> OsString {
        let directories = self.path.iter().map(|directory| directory.as_os_str().as_bytes());
        // A directory with a colon in its name cannot be in PATH.
        let directories: Vec<_> = directories.filter(|name| !name.contains(&b':')).collect();
        OsStr::from_bytes(&directories.join(&b':')).to_owned()
    }

    /// Returns one printable line about what was found; empty if nothing was asked for.
    pub(super) fn report(&self) -> String {
        let printable = |c: char| if c.is_control() { '?' } else { c };
        let mut line: String = self.notes.join("; ").chars().map(printable).collect();
        while line.len() > MAX_PROGRAM {
            line.pop();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    #[test]
    fn a_configured_interpreter_or_command_ends_the_search() {
        let mut spec = spec(AppKind::Python, "/app");
        let home = Some(Path::new("/home/a"));
        assert_eq!(Search::of(&spec, home), Search::Interpreter(Language::Python, home));
        spec.interpreter = "python3".into();
        assert_eq!(Search::of(&spec, home), Search::Nothing);
        spec.kind = AppKind::Generic;
        assert_eq!(Search::of(&spec, home), Search::Nothing);
        spec.found = "\"web\" of Procfile".into();
        assert_eq!(Search::of(&spec, home), Search::Programs(home));
        spec.kind = AppKind::Meteor;
        assert_eq!(Search::of(&spec, home), Search::Nothing);
    }

    #[test]
    fn what_was_found_replaces_the_usual_program() {
        let usual = Command { programs: vec!["python3".into()], arguments: vec!["loader".into()] };
        let nothing = Toolchain::default();
        assert_eq!((nothing.apply(&usual), nothing.report()), (usual.clone(), String::new()));
        let mut found = Toolchain::default();
        let venv = Interpreter::Found { program: "/app/venv/bin/python".into(), why: "a\nb".into() };
        found.program = found.add(venv);
        assert_eq!(found.apply(&usual).programs, ["/app/venv/bin/python"]);
        assert_eq!(found.path(), "/app/venv/bin");
        assert_eq!(found.report(), "/app/venv/bin/python (a?b)");
        found.add(Interpreter::Missing("x".repeat(2 * MAX_PROGRAM)));
        assert_eq!(found.report().len(), MAX_PROGRAM);
        found.add(Interpreter::Found { program: "/a:b/node".into(), why: String::new() });
        assert_eq!(found.path(), "/app/venv/bin", "a colon separates directories");
    }
}
