//! `passenger-config build-native-support`: compiles the C code of the loaders for the interpreters of this machine.

mod compile;
mod interpreter;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use common::config;
use common::native::{self, Language, PYTHON, RUBY};

use super::Outcome;
use super::installation::Installation;
use interpreter::Interpreter;

/// Builds native support for the given interpreters, or for every ruby and python3 in PATH.
#[derive(Debug, Args)]
pub(crate) struct BuildNativeSupport {
    /// Ruby interpreter: a path, or a name in PATH; may be repeated
    #[arg(long, value_name = "PROGRAM")]
    ruby: Vec<PathBuf>,
    /// Python interpreter: a path, or a name in PATH; may be repeated
    #[arg(long, value_name = "PROGRAM")]
    python: Vec<PathBuf>,
    /// Directory to write to [default: the one in which the daemon of this installation searches]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Succeed if a compiler, headers or interpreters are missing: apps use the loaders without native support then
    #[arg(long)]
    if_possible: bool,
}

/// An interpreter to build for.
struct Wanted {
    language: Language,
    program: PathBuf,
}

impl BuildNativeSupport {
    /// Builds for each interpreter, and prints what was built and what was not.
    pub(super) fn run(&self) -> Outcome {
        let loaders = Installation::of_this_program()?.loaders()?;
        let dir = match &self.dir {
            Some(dir) => std::path::absolute(dir).map_err(|why| format!("{}: {why}", dir.display()))?,
            None => config::native_support(None).map_err(|why| why.to_string())?,
        };
        let mut failures = Vec::new();
        let mut built = BTreeSet::new();
        for Wanted { language, program } in self.wanted(&mut failures) {
            match build(language, &program, &loaders, &dir) {
                Ok(object) if built.insert(object.clone()) => {
                    println!("built for {}: {}", program.display(), object.display());
                }
                Ok(_) => {}
                Err(why) => failures.push(format!("{}: {why}", program.display())),
            }
        }
        self.conclude(&failures, !built.is_empty())
    }

    fn conclude(&self, failures: &[String], any: bool) -> Outcome {
        for why in failures {
            match self.if_possible {
                true => println!("no native support for {why}"),
                false => eprintln!("passenger-config: no native support for {why}"),
            }
        }
        if any {
            println!("Processes that are started from now on use it: passenger-config restart-app");
        }
        let failed = !failures.is_empty() && !self.if_possible;
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Returns the interpreters that are given, or else those that are found.
    fn wanted(&self, failures: &mut Vec<String>) -> Vec<Wanted> {
        let find = self.ruby.is_empty() && self.python.is_empty();
        let mut wanted = Vec::new();
        for (language, given, usual) in [(RUBY, &self.ruby, "ruby"), (PYTHON, &self.python, "python3")] {
            if language.hash.is_empty() {
                continue;
            }
            let mut programs = Vec::new();
            for program in given {
                match interpreter::in_path(program).into_iter().next() {
                    Some(found) => programs.push(found),
                    None => failures.push(format!("{}: there is no such program", program.display())),
                }
            }
            if find {
                programs = interpreter::in_path(Path::new(usual));
                if programs.is_empty() {
                    println!("there is no {usual} in PATH: nothing is built for it");
                }
            }
            wanted.extend(programs.into_iter().map(|program| Wanted { language, program }));
        }
        wanted
    }
}

/// Builds for one interpreter and returns the object.
fn build(language: Language, program: &Path, loaders: &Path, dir: &Path) -> Result<PathBuf, String> {
    let source_dir = language.source_dir(loaders);
    let files = native::sources(&source_dir).map_err(|why| format!("{}: {why}", source_dir.display()))?;
    if native::hash(&files) != language.hash {
        return Err(format!(
            "the C files in {} do not belong to this release of passenger-config",
            source_dir.display()
        ));
    }
    let interpreter = Interpreter::ask(language, program, &source_dir)?;
    let sources = files.iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|end| end == "c"));
    let sources: Vec<_> = sources.map(|(name, _)| source_dir.join(name)).collect();
    compile::object(&interpreter, &sources, dir, &language.objects(dir))
}
