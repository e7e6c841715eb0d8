//! `passenger-config about`: locations and facts of the installation, for scripts.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::Outcome;
use super::installation::Installation;

/// Prints a fact about the installation.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// Fact to print
    #[arg(value_enum)]
    pub(super) fact: Fact,
}

/// The facts. The last three are answered by the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fact {
    /// The release
    Version,
    /// The directory of the files that all programs share
    Root,
    /// The same as root
    Resourcesdir,
    /// The directory of the loaders, which run inside the processes of apps
    LoadersDir,
    /// The loader for Ruby
    RubyLibdir,
    /// The loader for Python
    PythonLibdir,
    /// The loader for Node.js
    NodejsLibdir,
    /// The directory of the daemon's program
    SupportBinariesDir,
    /// The nginx module, as load_module takes it
    NginxModule,
    /// Exits with status 0: the programs are compiled
    Compiled,
    /// Exits with status 0 if installed by a package or make install, with 1 in a source tree
    CustomPackaged,
    /// Exits with status 0 if a package of the distribution installed it
    InstalledFromReleasePackage,
}

impl About {
    /// Prints the fact, or returns it as the exit status.
    pub(super) fn run(&self) -> Outcome {
        let installation = Installation::of_this_program()?;
        let loader = |language: &str| installation.loaders().map(|dir| dir.join(language));
        let status = |yes| Ok(if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        let path = match self.fact {
            Fact::Version => env!("CARGO_PKG_VERSION").into(),
            Fact::Root | Fact::Resourcesdir => directory_of(&installation.loaders()?).to_path_buf(),
            Fact::LoadersDir => installation.loaders()?,
            Fact::RubyLibdir => loader("ruby")?,
            Fact::PythonLibdir => loader("python")?,
            Fact::NodejsLibdir => loader("nodejs")?,
            Fact::SupportBinariesDir => directory_of(&installation.daemon()?).to_path_buf(),
            Fact::NginxModule => installation.module(),
            Fact::Compiled => return status(true),
            Fact::CustomPackaged => return status(installation.is_installed()),
            Fact::InstalledFromReleasePackage => return status(installation.is_of_package()),
        };
        if self.fact == Fact::NginxModule && !path.exists() {
            return Err(format!("the nginx module {} does not exist", path.display()));
        }
        println!("{}", path.display());
        Ok(ExitCode::SUCCESS)
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
