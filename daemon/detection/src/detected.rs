//! A detected application, and the order in which a directory is searched.

use std::path::Path;

use protocol::found::{self, Found};
use protocol::request::AppKind;

use crate::directory::{Directory, is_not_found};
use crate::error::{DetectError, explain};
use crate::rejected::Rejected;
use crate::{node, passengerfile, procfile, python};

/// A detected application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Its type.
    pub kind: AppKind,
    /// For the field of this name of a request: the start command of a generic one; for the kinds with a loader the
    /// startup file, empty for the usual one. [`Detected::entry`] takes it apart.
    pub start_command: String,
}

impl Detected {
    /// Returns an application whose startup file is not to be searched for.
    pub fn configured(kind: AppKind) -> Self {
        Self { kind, start_command: String::new() }
    }

    /// Returns a generic application with a configured command.
    pub fn of_command(command: &str) -> Self {
        Self { kind: AppKind::Generic, start_command: command.to_owned() }
    }

    /// Returns an application that starts with this file, and why.
    pub(crate) fn with_file(kind: AppKind, file: &str, reason: &str) -> Self {
        Self { kind, start_command: found::encode(reason, file) }
    }

    /// Returns a generic application that starts with this command, and why.
    pub(crate) fn with_command(command: &str, reason: &str) -> Self {
        Self { kind: AppKind::Generic, start_command: found::encode(reason, command) }
    }

    /// Returns its startup file or command, and why it was chosen.
    pub fn entry(&self) -> Found<'_> {
        let found = Found::parse(&self.start_command);
        match self.kind.definition().startup_file {
            Some(usual) if self.start_command.is_empty() => Found { reason: Some("it exists"), value: usual },
            _ => found,
        }
    }
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The application; `None` if there is none.
    pub found: Option<Detected>,
    /// What exists and is not used, each with the reason, for the operator.
    pub rejected: Vec<String>,
}

/// Detects the application in a directory; `None` when there is none.
///
/// # Errors
///
/// [`DetectError`] when the directory cannot be read.
pub fn detect(root: &Path) -> Result<Option<Detected>, DetectError> {
    Ok(search(root)?.found)
}

/// Detects the application in a directory, and reports what was not used.
///
/// # Errors
///
/// [`DetectError`] when the directory cannot be read.
pub fn search(root: &Path) -> Result<Search, DetectError> {
    if let Some(command) = passengerfile::command(root)? {
        return Ok(Search { found: Some(Detected::of_command(&command)), rejected: Vec::new() });
    }
    if let Some(kind) = usual(root)? {
        if let Some(found) = started_elsewhere(root, kind) {
            return Ok(Search { found: Some(found), rejected: Vec::new() });
        }
        return Ok(Search { found: Some(Detected::configured(kind)), rejected: Vec::new() });
    }
    let directory = Directory(root);
    let mut rejected = Rejected::default();
    let found = python::find(directory, &mut rejected)
        .or_else(|| procfile::find(directory, &mut rejected))
        .or_else(|| node::find(directory, &mut rejected));
    Ok(Search { found, rejected: rejected.into_list() })
}

/// Detects the startup file of an application whose type is configured. Without one, the usual file is to be used.
pub fn detect_file(root: &Path, kind: AppKind) -> Detected {
    let find: fn(Directory<'_>, &mut Rejected) -> Option<Detected> = match kind {
        AppKind::Python => python::find,
        AppKind::Node => node::find,
        AppKind::Ruby | AppKind::Meteor | AppKind::Generic => return Detected::configured(kind),
    };
    if let Some(found) = started_elsewhere(root, kind) {
        return found;
    }
    let is_usual = kind.definition().startup_file.is_none_or(|usual| root.join(usual).exists());
    let found = (!is_usual).then(|| find(Directory(root), &mut Rejected::default())).flatten();
    found.filter(|found| found.kind == kind).unwrap_or_else(|| Detected::configured(kind))
}

/// Returns a file in a public directory that belongs to an application's source, so that the directory is the
/// application's own: visitors could download its source. Scripts of pages have the names of Node.js' files, too.
pub fn exposed_source(public: &Path) -> Option<&'static str> {
    const OTHER: [&str; 6] =
        ["config.ru", "passenger_wsgi.py", "Passengerfile.json", "manage.py", "Procfile", "package.json"];
    let directory = Directory(public);
    let is_there = |file: &&str| directory.has_file(file);
    OTHER.into_iter().find(is_there).or_else(|| python::FILES.into_iter().find(is_there))
}

/// Returns the file that starts a Node.js application whose usual file only exports it.
fn started_elsewhere(root: &Path, kind: AppKind) -> Option<Detected> {
    if kind == AppKind::Node { node::started_elsewhere(Directory(root)) } else { None }
}

/// Returns the first kind whose usual startup file exists.
fn usual(root: &Path) -> Result<Option<AppKind>, DetectError> {
    for kind in AppKind::ALL {
        if let Some(file) = kind.definition().startup_file
            && exists(root, file)?
        {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

fn exists(root: &Path, file: &str) -> Result<bool, DetectError> {
    let path = root.join(file);
    match path.metadata() {
        Ok(_) => Ok(true),
        Err(err) if is_not_found(&err) => Ok(false),
        Err(err) => Err(explain(root, path, &err)),
    }
}
