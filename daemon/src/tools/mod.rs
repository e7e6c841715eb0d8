//! What the administration tools share with each other: which daemon is meant, and how it is asked.
//!
//! A registry and a name come in, an answer or a sentence for the administrator goes out.

mod client;
mod paths;

use std::fmt;
use std::path::PathBuf;

use nix::unistd::Uid;

use crate::config::{REGISTRY_VARIABLE, usual_registry};
use crate::instance::{self, Found};

pub use client::{AskError, Client, Reply};
pub use paths::matches_prefix;

/// Where root's daemons register themselves.
const ROOT_REGISTRY: &str = "/run/flying-passenger";

/// Why no daemon could be chosen.
#[derive(Debug, PartialEq, Eq)]
pub enum ChooseError {
    /// None is running.
    NotRunning(Vec<PathBuf>),
    /// None has a name that begins like this.
    NoSuchName(String, Vec<Candidate>),
    /// Several are meant.
    Ambiguous(Vec<Candidate>),
}

/// A running daemon in a list of choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its process ID.
    pub pid: u32,
    /// What nginx connects to.
    pub socket_file: PathBuf,
}

impl fmt::Display for ChooseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, candidates: &[Candidate]| {
            candidates.iter().try_for_each(|c| {
                write!(f, "\n  {:<10} PID {:<8} {}", c.name, c.pid, c.socket_file.display())
            })
        };
        match self {
            Self::NotRunning(registries) => {
                let places: Vec<_> = registries.iter().map(|dir| dir.display().to_string()).collect();
                write!(
                    f,
                    "flying-passenger does not seem to be running: looked in {}. ",
                    places.join(" and ")
                )?;
                write!(f, "If it was started with --instance-registry-dir, set {REGISTRY_VARIABLE}")
            }
            Self::NoSuchName(name, candidates) => {
                write!(f, "no running instance has a name that begins with {name:?}; there are:")?;
                list(f, candidates)
            }
            Self::Ambiguous(candidates) => {
                f.write_str("several instances are running; choose one by its name:")?;
                list(f, candidates)
            }
        }
    }
}

impl std::error::Error for ChooseError {}

/// The registries where tools look: the one in the environment alone, or the caller's and root's.
pub fn registries() -> Vec<PathBuf> {
    if let Some(given) = std::env::var_os(REGISTRY_VARIABLE) {
        return vec![given.into()];
    }
    let mut all = vec![usual_registry(Uid::effective())];
    if all[0] != *ROOT_REGISTRY {
        all.push(ROOT_REGISTRY.into());
    }
    all
}

/// Every running daemon. Registries that are not there or cannot be read have none.
pub fn instances() -> Vec<Found> {
    registries().iter().flat_map(|registry| instance::list(registry).unwrap_or_default()).collect()
}

/// The daemon that is meant: the only one, or the only one whose name begins with `name`.
pub fn choose(name: Option<&str>) -> Result<Client, ChooseError> {
    let all = instances();
    let candidates: Vec<Candidate> = all.iter().map(Candidate::of).collect();
    let meant = |c: &Candidate| name.is_none_or(|name| c.name.starts_with(name));
    let mut chosen = all.iter().zip(&candidates).filter(|(_, c)| meant(c)).map(|(found, _)| found);
    match (chosen.next(), chosen.next()) {
        (Some(found), None) => Ok(Client::new(found)),
        (None, _) if candidates.is_empty() => Err(ChooseError::NotRunning(registries())),
        (None, _) => Err(ChooseError::NoSuchName(name.unwrap_or_default().to_owned(), candidates)),
        (Some(_), Some(_)) => Err(ChooseError::Ambiguous(candidates)),
    }
}

impl Candidate {
    fn of(found: &Found) -> Self {
        let properties = &found.properties;
        Self {
            name: properties.name.clone(),
            pid: properties.pid,
            socket_file: properties.socket_file.clone(),
        }
    }
}
