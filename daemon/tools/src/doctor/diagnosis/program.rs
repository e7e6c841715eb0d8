//! Diagnoses of the program: the path to it, the interpreter, the startup file, the command.

use module_core::detect::startup_file;
use protocol::request::AppKind;

use super::{Diagnosis, Seen, between, directive};

/// Diagnoses a directory on the path that the app's user may not enter.
pub(super) fn closed_directory(seen: &Seen) -> Option<Diagnosis> {
    let directory = between(&seen.summary, "cannot enter the directory ", ": ")?;
    let user = &seen.user;
    Some(Diagnosis::new(
        format!("the app is to run as the user {user}, who may not enter {directory}"),
        format!(
            "Let the user {user} pass: chmod o+x {directory}. Or have the app run as somebody who may: give its \
             startup file to that user, or name it with passenger_user (here --user)."
        ),
    ))
}

/// Diagnoses an interpreter or program that does not exist or cannot be executed.
pub(super) fn missing_interpreter(seen: &Seen) -> Option<Diagnosis> {
    let program = seen.summary.strip_prefix("cannot run ")?;
    let (directive, flag) =
        directive(seen.kind).unwrap_or(("passenger_app_start_command", "--start-command"));
    let in_no_directory = |said| program.split_once(said);
    if let Some((names, path)) = in_no_directory(": found in none of the directories of PATH ")
        .or_else(|| in_no_directory(": not found with the PATH of the login shell "))
    {
        return Some(Diagnosis::new(
            format!("the interpreter is missing: {names} is in none of the directories of PATH {path}"),
            format!("Install it, or name its path with {directive} (here {flag})."),
        ));
    }
    let (name, why) = program.split_once(": ").unwrap_or((program, ""));
    let advice = if why.starts_with("Permission denied") {
        format!("Let the user {} run it: chmod a+rx, on all directories of the way, too.", seen.user)
    } else {
        format!("Install it there, or name another path with {directive} (here {flag}).")
    };
    Some(Diagnosis::new(format!("the interpreter cannot be run: {name}: {why}"), advice))
}

/// Diagnoses a missing startup file, or a missing app.
pub(super) fn missing_startup_file(seen: &Seen) -> Option<Diagnosis> {
    let file = between(&seen.summary, "the startup file ", " does not exist")?;
    let usual = startup_file(seen.kind).unwrap_or_default();
    Some(Diagnosis::new(
        format!("the startup file is missing: {file}"),
        format!(
            "A {} app starts with {usual}. Name another with passenger_startup_file (here --startup-file), or \
             was the last deployment not complete?",
            seen.kind.as_str()
        ),
    ))
}

/// Diagnoses a start command that the shell does not find or may not execute.
pub(super) fn missing_command(seen: &Seen) -> Option<Diagnosis> {
    let is_shells = seen.summary.contains("status 126") || seen.summary.contains("status 127");
    if seen.kind != AppKind::Generic || !is_shells {
        return None;
    }
    let said =
        seen.text.lines().rfind(|line| line.contains("not found") || line.contains("ermission denied"))?;
    Some(Diagnosis::new(
        format!("the start command cannot be run: {}", said.trim()),
        format!(
            "Give its whole path, or one that begins with ./ for a program of the app's own, and see that the \
             user {} may run it: chmod +x.",
            seen.user
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::seen;
    use super::*;

    #[test]
    fn a_closed_directory_is_named_with_the_user() {
        let seen = seen("the user \"alice\" cannot enter the directory /srv/shop: Permission denied", "");
        let diagnosis = closed_directory(&seen).unwrap();
        assert_eq!(diagnosis.problem, "the app is to run as the user alice, who may not enter /srv/shop");
        assert!(diagnosis.advice.contains("chmod o+x /srv/shop."), "{}", diagnosis.advice);
    }

    #[test]
    fn an_interpreter_is_missing_or_is_none() {
        let of = |summary: &str| missing_interpreter(&seen(summary, "")).unwrap();
        let missing = of("cannot run \"ruby\": found in none of the directories of PATH (/bin)");
        assert!(missing.problem.ends_with("\"ruby\" is in none of the directories of PATH (/bin)"));
        assert!(missing.advice.contains("passenger_ruby (here --ruby)"));
        let missing = of("cannot run \"node\": not found with the PATH of the login shell (/bin)");
        assert!(missing.problem.ends_with("\"node\" is in none of the directories of PATH (/bin)"));
        let nowhere = of("cannot run \"/opt/ruby\": No such file or directory");
        assert!(nowhere.problem.ends_with("\"/opt/ruby\": No such file or directory"));
        assert!(of("cannot run \"/opt/ruby\": Permission denied").advice.contains("chmod a+rx"));
    }

    #[test]
    fn a_missing_startup_file_is_named() {
        let seen = seen("the startup file /srv/shop/config.ru does not exist", "");
        assert_eq!(
            missing_startup_file(&seen).unwrap().problem,
            "the startup file is missing: /srv/shop/config.ru"
        );
    }

    #[test]
    fn a_command_that_the_shell_does_not_find_is_told_in_its_words() {
        let mut seen = seen(
            "its process exited with status 127 before it was ready",
            "/bin/sh: 1: exec: servr: not found\n",
        );
        assert_eq!(missing_command(&seen), None, "a loader's own status means nothing of that");
        seen.kind = AppKind::Generic;
        assert!(missing_command(&seen).unwrap().problem.ends_with("servr: not found"));
    }
}
