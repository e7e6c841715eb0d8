//! `passenger-config about`: locations and facts of the installation, for scripts.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Outcome;
use super::installation::Installation;

/// Tells something about the installation.
#[derive(Debug, Args)]
pub struct About {
    /// What to tell
    #[arg(value_enum)]
    fact: Fact,
}

/// What can be told. The last three are answered by the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fact {
    /// The release
    Version,
    /// The directory of what belongs to all programs
    Root,
    /// The same
    Resourcesdir,
    /// Where the loaders are, which run inside the processes of apps
    LoadersDir,
    /// The loader for Ruby
    RubyLibdir,
    /// The loader for Python
    PythonLibdir,
    /// The loader for Node.js
    NodejsLibdir,
    /// Where the daemon's program is
    SupportBinariesDir,
    /// nginx's module, as load_module takes it
    NginxModule,
    /// Exits with status 0: the programs are compiled
    Compiled,
    /// Exits with status 0 when it was installed, by a package or make install, and with 1 in a source tree
    CustomPackaged,
    /// Exits with status 0 when a package of the distribution brought it
    InstalledFromReleasePackage,
}

impl About {
    /// Returns the command for an old switch of passenger-config.
    pub(super) fn fact(fact: Fact) -> Self {
        Self { fact }
    }

    /// Prints the fact, or returns it as the exit status.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Outcome {
        let installation = Installation::of_this_program()?;
        let loader = |language: &str| installation.loaders().map(|dir| dir.join(language));
        let shown = match self.fact {
            Fact::Version => env!("CARGO_PKG_VERSION").into(),
            Fact::Root | Fact::Resourcesdir => directory_of(&installation.loaders()?).to_path_buf(),
            Fact::LoadersDir => installation.loaders()?,
            Fact::RubyLibdir => loader("ruby")?,
            Fact::PythonLibdir => loader("python")?,
            Fact::NodejsLibdir => loader("nodejs")?,
            Fact::SupportBinariesDir => {
                let daemon = installation.program("flying-passenger");
                directory_of(&daemon.ok_or("flying-passenger is not beside this program")?).to_path_buf()
            }
            Fact::NginxModule => existing(installation.module())?,
            Fact::Compiled => return Ok(ExitCode::SUCCESS),
            Fact::CustomPackaged => return Ok(answer(installation.is_installed())),
            Fact::InstalledFromReleasePackage => return Ok(answer(installation.is_of_package())),
        };
        println!("{}", shown.display());
        Ok(ExitCode::SUCCESS)
    }
}

fn answer(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn existing(path: std::path::PathBuf) -> Result<std::path::PathBuf, String> {
    if path.exists() { Ok(path) } else { Err(format!("there is no nginx module at {}", path.display())) }
}
