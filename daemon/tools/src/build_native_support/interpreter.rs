//! An interpreter: whether it may be run, and how C code is compiled for it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::native::{Language, RUBY};
use nix::unistd::Uid;

/// Maximum length in bytes of the name of an interpreter's directory.
const MAX_KEY: usize = 128;
/// Variables of this program's environment that other programs get; none changes what an interpreter loads.
const VARIABLES: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// How C code is compiled for an interpreter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The name of its directory of objects.
    pub(super) key: String,
    /// The compiler with its first arguments.
    pub(super) compiler: Vec<String>,
    pub(super) flags: Vec<String>,
    headers: Vec<PathBuf>,
    refused: Option<String>,
}

impl Interpreter {
    /// Runs the interpreter with a program that prints what there is to know.
    pub(super) fn ask(language: Language, program: &Path, source_dir: &Path) -> Result<Self, String> {
        if nix::unistd::geteuid().is_root() {
            check_trusted(program)?;
        }
        let is_ruby = language == RUBY;
        let (option, script) =
            if is_ruby { ("--disable=gems", "settings.rb") } else { ("-I", "settings.py") };
        let mut command = clean_command(program);
        let output = command.arg(option).arg(source_dir.join(script)).output();
        let output = output.map_err(|why| format!("it cannot be run: {why}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default();
            return Err(format!("it cannot report how C code is compiled ({}): {said}", output.status));
        }
        let found = Self::parse(&String::from_utf8_lossy(&output.stdout));
        found.check(language)?;
        Ok(found)
    }

    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match name {
                "key" => value.clone_into(&mut found.key),
                "cc" => found.compiler.push(value.to_owned()),
                "flag" => found.flags.push(value.to_owned()),
                "header" => found.headers.push(value.into()),
                "refused" => found.refused = Some(value.to_owned()),
                _ => {}
            }
        }
        found
    }

    fn check(&self, language: Language) -> Result<(), String> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let named = self.key.strip_prefix(language.name).is_some_and(|rest| rest.starts_with('-'));
        if !named || self.key.len() > MAX_KEY || !self.key.bytes().all(valid) || self.compiler.is_empty() {
            return Err(format!("it does not report what it is: \"{}\"", self.key.escape_debug()));
        }
        match self.headers.iter().find(|header| !header.is_file()) {
            None => Ok(()),
            Some(header) => Err(format!(
                "{} is missing: install the development files of {} (Debian: apt-get install {}-dev)",
                header.display(),
                language.name,
                if language == RUBY { "ruby" } else { "python3" }
            )),
        }
    }
}

/// A command without variables that change what an interpreter loads.
pub(super) fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in VARIABLES {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// Returns the programs of this name in PATH, each once; for a path, the program itself if it exists.
pub(super) fn in_path(program: &Path) -> Vec<PathBuf> {
    let executable = |path: &Path| {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 {
        let path = std::path::absolute(program).ok().filter(|path| executable(path));
        return path.into_iter().collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut seen = Vec::new();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .filter(|path| path.is_absolute() && executable(path))
        .filter(|path| {
            let real = fs::canonicalize(path).unwrap_or_default();
            let new = !seen.contains(&real);
            seen.push(real);
            new
        })
        .collect()
}

/// Checks that only root can change a program that is run as root.
fn check_trusted(program: &Path) -> Result<(), String> {
    let real = fs::canonicalize(program).map_err(|why| why.to_string())?;
    // The path itself may contain links of others; what it leads to is one of these two.
    for path in real.ancestors().chain(program.ancestors()) {
        let meta = fs::metadata(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        let cause = match meta.uid() {
            0 if meta.mode() & 0o022 == 0 || sticky => continue,
            0 => "other users can write to it".to_owned(),
            uid => format!("it belongs to user {}", user_name(uid)),
        };
        return Err(format!(
            "it is not run as root, because of {}: {cause}. Run this command as the user that owns it, with --dir",
            path.display()
        ));
    }
    Ok(())
}

fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(Uid::from_raw(uid));
    user.ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interpreter_prints_is_checked() {
        let good =
            "key=ruby-ruby-3.1.2-p20-x86_64-linux-gnu\ncc=gcc\ncc=-m64\nflag=-I/a b\nheader=/etc/passwd\n";
        let found = Interpreter::parse(good);
        assert_eq!(found.compiler, ["gcc", "-m64"]);
        assert_eq!(found.flags, ["-I/a b"]);
        assert_eq!(found.check(RUBY), Ok(()));
        for (text, why) in [
            ("key=ruby-../..\ncc=gcc", "it does not report what it is: \"ruby-../..\""),
            ("key=python-x\ncc=gcc", "it does not report what it is: \"python-x\""),
            ("key=ruby-x", "it does not report what it is: \"ruby-x\""),
            ("", "it does not report what it is: \"\""),
            ("refused=jruby is not supported\nkey=ruby-x\ncc=gcc", "jruby is not supported"),
            (
                "key=ruby-x\ncc=gcc\nheader=/nowhere/ruby.h",
                "/nowhere/ruby.h is missing: install the development files of ruby (Debian: apt-get install ruby-dev)",
            ),
        ] {
            assert_eq!(Interpreter::parse(text).check(RUBY), Err(why.to_owned()), "{text:?}");
        }
    }
}
