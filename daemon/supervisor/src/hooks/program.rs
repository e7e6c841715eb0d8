//! One hook program of the operator, started as a child process for an incident.
//!
//! It has the daemon's user, environment and log, and nothing else of the daemon's: no descriptor, no signal, no limit.

use std::convert::Infallible;
use std::ffi::{CString, NulError, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd;

use crate::lifecycle::rlimits::Originals;
use common::link::Incident;
use common::sys::process::{Child, Forked};
use common::sys::{descriptors, process, signals};

/// The arguments of `execve`.
#[derive(Debug)]
pub(super) struct Program {
    path: CString,
    environment: Vec<CString>,
}

impl Program {
    pub(super) fn new<'a>(
        path: &Path,
        incident: &'a Incident,
        variables: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<Self> {
        let facts = incident
            .facts
            .iter()
            .flat_map(|(fact, value)| fact.variables().iter().map(move |name| (*name, one_line(value))));
        let own = [("PASSENGER_HOOK_NAME", incident.hook.name())].into_iter().chain(variables);
        let own = own.map(|(name, value)| (name, value.to_owned())).chain(facts);
        let own: Vec<_> = own.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        let inherited = std::env::vars_os().filter(|(name, _)| !own.iter().any(|(own, _)| own == name));
        let all = inherited.chain(own.iter().cloned());
        let environment = all.map(|(name, value)| variable(&name, &value)).collect::<Result<_, _>>()?;
        Ok(Self { path: CString::new(path.as_os_str().as_bytes())?, environment })
    }

    /// Starts it in its own session and process group.
    pub(super) fn start(&self, originals: &Originals) -> io::Result<Child> {
        match process::fork()? {
            Forked::Parent(child) => Ok(child),
            Forked::Child => {
                // Returns only on failure.
                let Err(why) = self.run(originals);
                tracing::error!("the program {} of a hook cannot be run: {why}", self.path.to_string_lossy());
                process::exit_now(127)
            }
        }
    }

    fn run(&self, originals: &Originals) -> io::Result<Infallible> {
        unistd::setsid()?;
        signals::reset()?;
        originals.restore()?;
        let null = OwnedFd::from(std::fs::File::open("/dev/null")?);
        let log = io::stderr().as_fd().try_clone_to_owned()?;
        descriptors::place_for_exec(vec![null, log.try_clone()?, log])?;
        let Err(why) = unistd::execve(&self.path, std::slice::from_ref(&self.path), &self.environment);
        Err(why.into())
    }
}

/// Returns the value as one line: cut at a byte that no variable can contain, with control characters escaped as in
/// Rust and C. A visitor chooses some of the values, and a program may write them to a file of lines.
fn one_line(value: &str) -> String {
    let value = value.split('\0').next().unwrap_or_default();
    let mut line = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, NulError> {
    CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::Hook;
    use common::link::Fact;

    #[test]
    fn facts_are_variables_and_replace_inherited_ones() {
        let facts = vec![(Fact::RequestPath, "/a\nX: y\0b".to_owned()), (Fact::ProcessPid, "7".to_owned())];
        let incident = Incident { hook: Hook::SpawnFailed, kill_afterwards: None, facts };
        let program = Program::new(Path::new("/bin/true"), &incident, [("PATH", "/x")].into_iter()).unwrap();
        let has =
            |text: &str| program.environment.iter().filter(|word| word.to_bytes() == text.as_bytes()).count();
        for text in [
            "PASSENGER_HOOK_NAME=spawn_failed",
            "PASSENGER_REQUEST_PATH=/a\\nX: y",
            "PASSENGER_PROCESS_PID=7",
            "PASSENGER_APP_PID=7",
            "PATH=/x",
        ] {
            assert_eq!(has(text), 1, "{text}");
        }
        assert_eq!(
            program.environment.iter().filter(|word| word.to_bytes().starts_with(b"PATH=")).count(),
            1
        );
    }
}
