//! The program that is executed for an app, and its arguments.
//!
//! Pure, except for the lookup in `PATH`, which the child performs as the app's user.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{self, AccessFlags};
use protocol::request::AppKind;
use serde::{Deserialize, Serialize};

use super::SpawnError;
use common::link::SpawnSpec;

/// A command line whose program is not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Paths or names of the program; the first one that can be executed is used.
    pub(super) programs: Vec<String>,
    /// The arguments after the program's own name.
    pub(super) arguments: Vec<OsString>,
}

/// How a process is asked to end, besides closing its owner pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Term {
    /// Not at all: the end of file is enough for a loader.
    None,
    /// SIGTERM to the process: it is the app itself.
    Process,
    /// SIGTERM to its group: the process is a shell that waits for the app.
    Group,
    /// SIGINT to its group, as from a terminal: this ends `meteor run`.
    Interrupt,
}

/// Returns the command of an app and how it is ended.
pub(super) fn of(spec: &SpawnSpec, loaders: &Path) -> Result<(Command, Term), SpawnError> {
    let Some(loader) = spec.kind.loader() else {
        return match spec.kind {
            _ if spec.preloader => Err(SpawnError::NoPreloader(spec.kind)),
            AppKind::Meteor => Ok(meteor(spec)),
            _ => Ok(shell(&spec.start_command)),
        };
    };
    let file = if spec.preloader { loader.preloader } else { Some(loader.file) };
    let file = file.ok_or(SpawnError::NoPreloader(spec.kind))?;
    let programs = if spec.interpreter.is_empty() {
        loader.interpreters.iter().map(|&name| name.to_owned()).collect()
    } else {
        vec![spec.interpreter.clone()]
    };
    Ok((Command { programs, arguments: vec![loaders.join(file).into()] }, Term::None))
}

/// The arguments for `meteor run` follow as the script's own.
const METEOR: &str = r#"command -v meteor >/dev/null || {
    echo "cannot run \"meteor\": found in none of the directories of PATH ($PATH)" >&2
    exit 127
}
exec meteor run -p "$PORT" "$@""#;

/// Returns the command for an unbundled Meteor project, run by Meteor's own tool as in Passenger. The shell has PORT.
fn meteor(spec: &SpawnSpec) -> (Command, Term) {
    let mut arguments: Vec<OsString> = vec!["-c".into(), METEOR.into(), "flying-passenger".into()];
    if let Some(file) = &spec.settings.meteor_app_settings {
        arguments.extend(["--settings".into(), file.into()]);
    }
    if spec.settings.app_env == "production" {
        arguments.push("--production".into());
    }
    (Command { programs: vec!["/bin/sh".into()], arguments }, Term::Interrupt)
}

/// Returns the command for a shell. As in Passenger, the app replaces the shell, so that signals and the PID are the
/// app's. A command of more than one program keeps its shell: `exec cd /x && ./server` would run nothing.
fn shell(command: &str) -> (Command, Term) {
    let (line, term) = if is_simple(command) {
        (format!("exec {command}"), Term::Process)
    } else {
        (command.to_owned(), Term::Group)
    };
    (Command { programs: vec!["/bin/sh".into()], arguments: vec!["-c".into(), line.into()] }, term)
}

/// Words that the shell itself interprets; `exec` would look for a program of that name.
const SHELL_WORDS: [&str; 27] = [
    "!", ".", ":", "[", "[[", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "function",
    "if", "readonly", "set", "shift", "source", "test", "time", "trap", "ulimit", "umask", "unset", "until",
    "while",
];

/// Whether this is one program with arguments and perhaps redirections. False when in doubt.
fn is_simple(command: &str) -> bool {
    let Some(first) = command.split_whitespace().next() else {
        return false;
    };
    let assigns = first.split_once('=').is_some_and(|(name, _)| is_name(name));
    !assigns && !SHELL_WORDS.contains(&first) && !has_operator(command)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether there is an operator outside quotes. `>&` and `<&` are redirections.
fn has_operator(command: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    let mut characters = command.trim().chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\\') => {}
            (_, '\\') => {
                characters.next();
            }
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '&') if matches!(before, '>' | '<') => {}
            (None, '{') if before == '$' => {}
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '{' | '`') => return true,
            (None, _) => {}
        }
        before = character;
    }
    false
}

/// Returns the first of `programs` that this process may execute. A name without a slash is looked up in `path`.
pub(super) fn find(programs: &[String], path: &OsStr) -> Option<PathBuf> {
    programs.iter().find_map(|program| {
        if program.contains('/') {
            return Some(PathBuf::from(program));
        }
        let directories = path.as_bytes().split(|&byte| byte == b':');
        let mut candidates =
            directories.map(|directory| Path::new(OsStr::from_bytes(directory)).join(program));
        candidates.find(|candidate| is_executable(candidate))
    })
}

fn is_executable(file: &Path) -> bool {
    let allowed = unistd::faccessat(AT_FDCWD, file, AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok();
    allowed && file.is_file()
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    #[test]
    fn interpreters_run_their_loader() {
        let table = [
            (AppKind::Ruby, "", vec!["ruby"], "/l/ruby/rack-loader.rb"),
            (AppKind::Python, "", vec!["python3", "python"], "/l/python/wsgi-loader.py"),
            (AppKind::Node, "", vec!["node"], "/l/nodejs/node-loader.js"),
            (AppKind::Ruby, "/opt/ruby/bin/ruby", vec!["/opt/ruby/bin/ruby"], "/l/ruby/rack-loader.rb"),
        ];
        for (kind, interpreter, programs, loader) in table {
            let mut spec = spec(kind, "/app");
            spec.interpreter = interpreter.into();
            let (command, term) = of(&spec, Path::new("/l")).unwrap();
            assert_eq!((command.programs, term), (programs.iter().map(|&p| p.into()).collect(), Term::None));
            assert_eq!(command.arguments, [OsString::from(loader)]);
        }
    }

    #[test]
    fn a_meteor_project_is_run_with_its_settings() {
        let arguments = |app_env: &str, meteor_settings: Option<&str>| {
            let mut spec = spec(AppKind::Meteor, "/app");
            spec.settings.app_env = app_env.into();
            spec.settings.meteor_app_settings = meteor_settings.map(str::to_owned);
            let (command, term) = of(&spec, Path::new("/l")).unwrap();
            assert_eq!((&*command.programs[0], term), ("/bin/sh", Term::Interrupt));
            command.arguments[3..].to_vec()
        };
        assert_eq!(arguments("development", None), [""; 0]);
        assert_eq!(
            arguments("production", Some("my settings.json")),
            ["--settings", "my settings.json", "--production"]
        );
    }

    #[test]
    fn ruby_and_python_have_preloaders() {
        let preloader = |kind| {
            of(&SpawnSpec { preloader: true, ..spec(kind, "/app") }, Path::new("/l")).map(|(it, _)| it)
        };
        assert_eq!(preloader(AppKind::Ruby).unwrap().arguments, [OsString::from("/l/ruby/preloader.rb")]);
        assert_eq!(preloader(AppKind::Python).unwrap().arguments, [OsString::from("/l/python/preloader.py")]);
        for kind in [AppKind::Node, AppKind::Generic, AppKind::Meteor] {
            assert!(matches!(preloader(kind), Err(SpawnError::NoPreloader(_))), "{kind:?}");
        }
    }

    #[test]
    fn one_program_replaces_its_shell() {
        for command in [
            "./server --port ${PORT}",
            "sleep 10",
            "python3 -m http.server \"$PORT\" >log 2>&1",
            "node -e 'a; b && (c)'",
            "./a=b",
            "env A=1 ./server",
            r"./a\;b",
        ] {
            let (shell, term) = shell(command);
            assert_eq!(shell.arguments[1], *format!("exec {command}"), "{command}");
            assert_eq!(term, Term::Process);
        }
    }

    #[test]
    fn a_compound_command_keeps_its_shell() {
        for command in [
            "cd app && ./server",
            "A=1 ./server",
            "./prepare; ./server",
            "./server | logger",
            "(./server)",
            "if true; then ./server; fi",
            "exec ./server",
            "./server & wait",
            "{ ./server; }",
            "umask 077\n./server",
            ". ./env && ./server",
            "",
        ] {
            let (shell, term) = shell(command);
            assert_eq!(shell.arguments[1], *command, "{command}");
            assert_eq!(term, Term::Group);
        }
    }

    #[test]
    fn names_are_looked_up_and_paths_are_not() {
        let find = |program: &str, path: &str| find(&[program.to_owned()], OsStr::new(path));
        assert_eq!(find("sh", "/nonexistent:/bin"), Some("/bin/sh".into()));
        assert_eq!(find("no-such-program", "/bin:/usr/bin"), None);
        assert_eq!(find("/no/such", "/bin"), Some("/no/such".into()));
        assert_eq!(find("bin", "/usr"), None, "a directory is no program");
    }
}
