//! Installed versions of interpreters: of version managers in a user's home directory, and of the system.

use std::path::{Path, PathBuf};

use super::version::Wanted;
use super::{Interpreter, Language, is_executable};
use crate::directory::Directory;

/// Where installed versions are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Managers<'a> {
    /// The home directory of the application's user.
    pub(super) home: Option<&'a Path>,
    /// The root directory.
    pub(super) system: &'a Path,
}

/// Programs by version `{v}`, in the order in which they are searched. `~` is the user's home directory.
const RUBY: &[&str] = &[
    "~/.rbenv/versions/{v}/bin/ruby",
    // A wrapper sets the variables of rvm.
    "~/.rvm/wrappers/ruby-{v}/ruby",
    "~/.rvm/rubies/ruby-{v}/bin/ruby",
    "~/.asdf/installs/ruby/{v}/bin/ruby",
    "~/.local/share/mise/installs/ruby/{v}/bin/ruby",
    "~/.rubies/ruby-{v}/bin/ruby",
    "/opt/rubies/ruby-{v}/bin/ruby",
    "/opt/rubies/{v}/bin/ruby",
    "/usr/local/rbenv/versions/{v}/bin/ruby",
    "/usr/local/rvm/wrappers/ruby-{v}/ruby",
];
const PYTHON: &[&str] = &[
    "~/.pyenv/versions/{v}/bin/python",
    "~/.asdf/installs/python/{v}/bin/python",
    "~/.local/share/mise/installs/python/{v}/bin/python",
    "/usr/local/pyenv/versions/{v}/bin/python",
];
const NODE: &[&str] = &[
    "~/.nvm/versions/node/v{v}/bin/node",
    "~/.nodenv/versions/{v}/bin/node",
    "~/.asdf/installs/nodejs/{v}/bin/node",
    "~/.local/share/mise/installs/node/{v}/bin/node",
    "~/.local/share/fnm/node-versions/v{v}/installation/bin/node",
    "/usr/local/nvm/versions/node/v{v}/bin/node",
];

/// Where nvm names the versions of `lts/iron` and `lts/*`.
const NVM_ALIASES: &str = "~/.nvm/alias/";
/// Words for the newest version.
const NEWEST: [&str; 4] = ["node", "stable", "current", "latest"];
/// Most names that lead to another name.
const MAX_ALIASES: usize = 4;
/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 1000;

impl Language {
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Ruby => RUBY,
            Self::Python => PYTHON,
            Self::Node => NODE,
        }
    }

    /// The programs of the system, with the first two numbers of their version.
    fn system_programs(self) -> &'static [&'static str] {
        match self {
            Self::Ruby => &["/usr/bin/ruby{v}", "/usr/local/bin/ruby{v}"],
            Self::Python => &["/usr/bin/python{v}", "/usr/local/bin/python{v}"],
            Self::Node => &[],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ruby => "Ruby",
            Self::Python => "Python",
            Self::Node => "Node.js",
        }
    }
}

impl Managers<'_> {
    /// Finds the newest installed version that is the wanted one, or begins with it.
    pub(super) fn find(self, language: Language, wanted: &Wanted) -> Interpreter {
        let Wanted { version, file } = wanted;
        let resolved = self.without_alias(language, version);
        let found = self.exact(language, &resolved).or_else(|| self.newest(language, &resolved));
        match found.or_else(|| self.of_system(language, &resolved)) {
            Some(program) => Interpreter::Found { program, why: format!("{file} asks for {version}") },
            None => Interpreter::Missing(format!(
                "{file} asks for {} {version}, which is not installed where this user's version managers, /opt and /usr \
                 have it",
                language.name()
            )),
        }
    }

    /// Returns the path of a pattern; `None` without a home directory.
    fn path(self, pattern: &str) -> Option<PathBuf> {
        match pattern.strip_prefix("~/") {
            Some(below) => Some(self.home?.join(below)),
            None => Some(self.system.join(pattern.trim_start_matches('/'))),
        }
    }

    fn exact(self, language: Language, version: &str) -> Option<PathBuf> {
        let programs = language.programs().iter();
        let mut paths = programs.filter_map(|pattern| self.path(&pattern.replace("{v}", version)));
        paths.find(|path| is_executable(path))
    }

    fn newest(self, language: Language, version: &str) -> Option<PathBuf> {
        language.programs().iter().find_map(|pattern| {
            let (before, after) = pattern.split_once("{v}")?;
            let (parent, prefix) = before.rsplit_once('/')?;
            let entries = std::fs::read_dir(self.path(parent)?).ok()?.take(MAX_ENTRIES);
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let mut versions: Vec<(Vec<u64>, String)> = names
                .filter_map(|name| Some((numbers(name.strip_prefix(prefix)?)?, name)))
                .filter(|(numbers, _)| begins_with(numbers, version))
                .collect();
            versions.sort();
            versions.into_iter().rev().find_map(|(_, name)| {
                self.path(&format!("{parent}/{name}{after}")).filter(|path| is_executable(path))
            })
        })
    }

    fn of_system(self, language: Language, version: &str) -> Option<PathBuf> {
        let numbers = numbers(version)?;
        let [major, minor, ..] = numbers.as_slice() else { return None };
        let short = format!("{major}.{minor}");
        let programs = language.system_programs().iter();
        let mut paths = programs.filter_map(|pattern| self.path(&pattern.replace("{v}", &short)));
        paths.find(|path| is_executable(path))
    }

    /// Follows the names that nvm gives to versions.
    fn without_alias(self, language: Language, version: &str) -> String {
        let mut version = version.to_owned();
        for _ in 0..MAX_ALIASES {
            if language != Language::Node || !version.starts_with("lts/") {
                break;
            }
            let target = self.path(NVM_ALIASES).and_then(|dir| Directory(&dir).read_small(&version, 256));
            match target {
                Some(target) => version = target.trim().trim_start_matches('v').to_owned(),
                None => break,
            }
        }
        let is_safe = |c: char| c.is_ascii_alphanumeric() || ".-*/".contains(c);
        if version.chars().all(is_safe) && !version.contains("..") { version } else { String::new() }
    }
}

/// Returns the numbers of a version such as `3.2.2`; `None` for other names.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

fn begins_with(installed: &[u64], wanted: &str) -> bool {
    NEWEST.contains(&wanted) || numbers(wanted).is_some_and(|wanted| installed.starts_with(&wanted))
}
