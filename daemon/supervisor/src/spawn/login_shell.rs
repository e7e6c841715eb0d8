//! The command line that starts an app's program through its user's login shell (`passenger_load_shell_envvars`), so
//! that the variables exported by the shell's startup files are set.
//!
//! The variables set by the daemon take precedence over the startup files. The shell reads them from an unnamed file,
//! as everybody can read command lines and values may be secret. The shells and their order are Passenger's.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::memfd::{self, MFdFlags};

use super::command::Command;

/// Shells that support `-l`, `-c` and the syntax of the script below.
const KNOWN: [&str; 7] = ["bash", "zsh", "ksh", "sh", "dash", "ash", "mksh"];
/// The file of variables is unnamed; /proc shows this name.
const FILE: &CStr = c"flying-passenger-variables";

/// Variables by name; those without a value are unset.
pub(super) type Changes = BTreeMap<OsString, Option<OsString>>;

/// Whether this is a known shell that exists.
pub(super) fn is_known(shell: &Path) -> bool {
    let name = shell.file_name().unwrap_or_default();
    KNOWN.iter().any(|known| name == *known) && shell.is_file()
}

/// Descriptor numbers for the shell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// The file of variables.
    pub(super) variables: usize,
    /// The report pipe, if the program gets one.
    pub(super) report: Option<usize>,
}

/// The login shell of an app's user.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoginShell<'a> {
    pub(super) shell: &'a Path,
    pub(super) numbers: Numbers,
}

impl LoginShell<'_> {
    /// Returns the command that runs `command` through the shell, with the directories `path` first in `PATH`.
    pub(super) fn command(&self, command: &Command, root: &Path, path: &OsStr) -> Command {
        let mut arguments: Vec<OsString> =
            vec!["-l".into(), "-c".into(), script(command, root, path, self.numbers)];
        // The name that the shell uses in its own error messages.
        arguments.push("flying-passenger".into());
        arguments.extend(command.arguments.iter().cloned());
        Command { programs: vec![self.shell.to_string_lossy().into_owned()], arguments }
    }
}

/// Determines why the last program was not executed. A path is not looked up in `PATH`.
const WHY: &str = "why=\"not found with the PATH of the login shell ($PATH)\"
case \"$program\" in */*) why='No such file or directory'; if [ -e \"$program\" ]; then why='Permission denied'; fi ;; esac
";

/// Returns what the shell runs after its startup files: it sets the daemon's variables, changes to the app's directory
/// and executes the program, looked up in the resulting `PATH`.
fn script(command: &Command, root: &Path, path: &OsStr, numbers: Numbers) -> OsString {
    let programs: Vec<_> = command.programs.iter().map(|program| quoted(program.as_bytes())).collect();
    let Numbers { variables, report } = numbers;
    let variables = format!(". /dev/fd/{variables} || exit 126\nexec {variables}<&-\n");
    let path = match path.is_empty() {
        true => Vec::new(),
        false => [b"export PATH=", &*quoted(path.as_bytes()), b":\"$PATH\"\n"].concat(),
    };
    let complaint = "cannot run \\\"$program\\\": $why";
    let end = match report {
        Some(report) => format!("echo \"error {complaint}\" >&{report}\nexit 1"),
        // The exit status of a shell in this case.
        None => format!("echo \"{complaint}\" >&2\nexit 127"),
    };
    let script = [
        variables.as_bytes(),
        &path,
        b"cd ",
        &quoted(root.as_os_str().as_bytes()),
        b" || exit 126\nfor program in ",
        &programs.join(&b' '),
        b"\ndo command -v \"$program\" >/dev/null 2>&1 && exec \"$program\" \"$@\"\ndone\n",
        WHY.as_bytes(),
        end.as_bytes(),
    ];
    OsStr::from_bytes(&script.concat()).to_owned()
}

/// Writes the changes as a script to an unnamed file.
pub(super) fn file_of(changes: &Changes) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd::memfd_create(FILE, MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&exports(changes))?;
    file.rewind()?;
    Ok(file.into())
}

/// Returns the script. Names that no shell can set are left to the environment that the shell is started with.
fn exports(changes: &Changes) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in changes.iter().filter(|(name, _)| is_name(name.as_bytes())) {
        match value {
            Some(value) => {
                text.extend_from_slice(b"export ");
                text.extend_from_slice(name.as_bytes());
                text.push(b'=');
                text.extend_from_slice(&quoted(value.as_bytes()));
            }
            None => {
                text.extend_from_slice(b"unset ");
                text.extend_from_slice(name.as_bytes());
            }
        }
        text.push(b'\n');
    }
    text
}

fn is_name(name: &[u8]) -> bool {
    let begins = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    begins && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Quotes one word for a shell, whatever it contains.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            _ => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::process;

    use super::*;

    const AT_0: Numbers = Numbers { variables: 0, report: None };

    fn by_shell(shell: &str, program: &Command, root: &str, numbers: Numbers) -> Command {
        let shell = LoginShell { shell: Path::new(shell), numbers };
        shell.command(program, Path::new(root), OsStr::new(""))
    }

    fn changes(pairs: &[(&str, Option<&str>)]) -> Changes {
        pairs.iter().map(|(name, value)| ((*name).into(), value.map(Into::into))).collect()
    }

    #[test]
    fn only_known_shells_are_used() {
        assert!(is_known(Path::new("/bin/sh")));
        for other in ["/usr/sbin/nologin", "/bin/false", "/bin/no-such/bash", "/bin/true", ""] {
            assert!(!is_known(Path::new(other)), "{other}");
        }
    }

    /// Runs the script in a real shell.
    #[test]
    fn values_arrive_with_any_content() {
        let nasty = "a'b\"c$HOME`id`\\\n;d \u{e4} !";
        let file =
            file_of(&changes(&[("NASTY", Some(nasty)), ("GONE", None), ("no-name", Some("x"))])).unwrap();
        let program =
            Command { programs: vec!["no-such-program".into(), "printf".into()], arguments: vec![] };
        let run = by_shell("/bin/sh", &program, "/usr", AT_0);
        let shell = process::Command::new("/bin/sh")
            .args(&run.arguments[..3])
            .args(["flying-passenger", "%s|%s|%s", "an argument"])
            .stdin(File::from(file))
            .env("GONE", "here")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&shell.stdout).into_owned();
        assert_eq!(printed, "an argument||", "{shell:?}");
    }

    #[test]
    fn the_script_sets_unsets_and_changes_directory() {
        let file = file_of(&changes(&[("NASTY", Some("a'b $c")), ("GONE", None)])).unwrap();
        assert!(file.as_raw_fd() > 2);
        let program = Command { programs: vec!["/bin/sh".into()], arguments: vec![] };
        let run = by_shell("/bin/sh", &program, "/usr", AT_0);
        let shell = process::Command::new("/bin/sh")
            .args(&run.arguments[..3])
            .args(["flying-passenger", "-c", "echo \"$NASTY|${GONE-unset}|$PWD\""])
            .stdin(File::from(file))
            .env("GONE", "here")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout), "a'b $c|unset|/usr\n", "{shell:?}");
    }

    #[test]
    fn directories_come_first_in_path_after_the_shells_own_files() {
        let shell = LoginShell { shell: Path::new("/bin/sh"), numbers: AT_0 };
        let program = Command { programs: vec!["/bin/sh".into()], arguments: vec![] };
        let run = shell.command(&program, Path::new("/usr"), OsStr::new("/app/it's venv/bin"));
        let shell = process::Command::new("/bin/sh")
            .args(&run.arguments)
            .args(["-c", "echo \"$PATH\""])
            .stdin(File::from(file_of(&changes(&[("PATH", Some("/bin"))])).unwrap()))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout), "/app/it's venv/bin:/bin\n", "{shell:?}");
    }

    #[test]
    fn a_program_that_is_not_found_is_named_with_the_reason() {
        for (shell, name, why) in [
            ("/bin/sh", "no-such-program", "not found with the PATH of the login shell ("),
            ("/bin/sh", "/nonexistent/ruby", "No such file or directory\n"),
            ("/bin/bash", "/etc/passwd", "Permission denied\n"),
        ] {
            let file = file_of(&changes(&[])).unwrap();
            let program = Command { programs: vec![name.into()], arguments: vec![] };
            let run = by_shell(shell, &program, "/usr", AT_0);
            let shell =
                process::Command::new(shell).args(&run.arguments).stdin(File::from(file)).output().unwrap();
            let printed = String::from_utf8_lossy(&shell.stderr).into_owned();
            assert!(printed.starts_with(&format!("cannot run \"{name}\": {why}")), "{printed}");
            assert_eq!(shell.status.code(), Some(127));
        }
    }

    #[test]
    fn no_value_is_on_the_command_line() {
        let program = Command { programs: vec!["ruby".into()], arguments: vec!["loader".into()] };
        let run = by_shell("/bin/bash", &program, "/srv/it's", Numbers { variables: 5, report: Some(4) });
        assert_eq!(run.programs, ["/bin/bash"]);
        assert_eq!(run.arguments[..2], ["-l", "-c"]);
        let script = run.arguments[2].to_str().unwrap();
        assert!(
            script.ends_with(">&4\nexit 1")
                && script.contains(". /dev/fd/5 ")
                && script.contains("cd '/srv/it'\\''s' "),
            "{script}"
        );
        assert_eq!(run.arguments[3..], ["flying-passenger", "loader"]);
    }
}
