//! Diagnoses of the program: the path to it, the interpreter, the startup file, the command.

use protocol::request::AppKind;

use super::failed_start::{between, word};
use super::{Code, Diagnosis, FailedStart};

/// Diagnoses a user or group with which the daemon runs no app. The supervisor's reason has the remedy.
pub(super) fn refused_user(start: &FailedStart) -> Option<Diagnosis> {
    let (cause, remedy) = start.summary.strip_prefix("the app would run as ")?.split_once(": ")?;
    let remedy = format!("{}.", capitalized(remedy));
    Some(Diagnosis::new(Code::RefusedUser, format!("the app would run as {cause}"), remedy))
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Diagnoses a directory on the path that the app's user may not enter.
pub(super) fn closed_directory(start: &FailedStart) -> Option<Diagnosis> {
    let directory = between(&start.summary, "cannot enter the directory ", ": ")?;
    // Before there is a process, only the summary names the user.
    let user = between(&start.summary, "the user \"", "\" cannot enter").unwrap_or_else(|| start.user_name());
    Some(Diagnosis::new(
        Code::ClosedDirectory,
        format!("the app runs as the user {user}, who may not enter {directory}"),
        format!(
            "Run: chmod o+x {}. Or run the app as another user: change the owner of its startup file, or specify \
             passenger_user{}.",
            word(directory),
            start.here("--user")
        ),
    ))
}

/// Diagnoses an interpreter or program that does not exist or cannot be executed.
pub(super) fn missing_interpreter(start: &FailedStart) -> Option<Diagnosis> {
    let program = start.summary.strip_prefix("cannot run ")?;
    let (directive, here) =
        start.interpreter().unwrap_or_else(|| ("passenger_app_start_command", start.here("--start-command")));
    if let Some((names, path)) = program
        .split_once(": found in none of the directories of PATH ")
        .or_else(|| program.split_once(": not found with the PATH of the login shell "))
    {
        return Some(Diagnosis::new(
            Code::MissingInterpreter,
            format!("the interpreter is missing: {names} is in none of the directories of PATH {path}"),
            format!("Install it, or specify its path with {directive}{here}."),
        ));
    }
    let (name, why) = program.split_once(": ").unwrap_or((program, ""));
    let advice = if why.starts_with("Permission denied") {
        format!(
            "Allow the user {} to execute it: chmod a+rx, also on its parent directories.",
            start.user_name()
        )
    } else {
        format!("Install it there, or specify another path with {directive}{here}.")
    };
    Some(Diagnosis::new(
        Code::MissingInterpreter,
        format!("the interpreter cannot be run: {name}: {why}"),
        advice,
    ))
}

/// Diagnoses a missing startup file, or a missing app.
pub(super) fn missing_startup_file(start: &FailedStart) -> Option<Diagnosis> {
    let file = between(&start.summary, "the startup file ", " does not exist")?;
    let default = start.kind.definition().startup_file.unwrap_or_default();
    if !file.ends_with(default) {
        return Some(Diagnosis::new(
            Code::MissingStartupFile,
            format!("the startup file is missing: {file}"),
            "It was there when the app was found, or is configured: restore it, or check whether the last deployment is \
             complete.",
        ));
    }
    Some(Diagnosis::new(
        Code::MissingStartupFile,
        format!("the startup file is missing: {file}"),
        format!(
            "A {} app starts with {default}. Specify another file with passenger_startup_file{}, or check whether the \
             last deployment is complete.",
            start.kind.as_str(),
            start.here("--startup-file")
        ),
    ))
}

/// Diagnoses a start command that the shell does not find or may not execute.
pub(super) fn missing_command(start: &FailedStart) -> Option<Diagnosis> {
    let is_shell_status = start.summary.contains("status 126") || start.summary.contains("status 127");
    if start.kind != AppKind::Generic || !is_shell_status {
        return None;
    }
    let message =
        start.text.lines().rfind(|line| line.contains("not found") || line.contains("ermission denied"))?;
    Some(Diagnosis::new(
        Code::MissingCommand,
        format!("the start command cannot be run: {}", message.trim()),
        format!(
            "Specify its absolute path, or a path that begins with ./ for a program of the app, and check that the \
             user {} may execute it: chmod +x.",
            start.user_name()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::failed_start;
    use super::*;

    #[test]
    fn a_refused_user_is_named_with_the_supervisors_remedy() {
        let summary = "the app would run as user \"www-data\", which can connect: give the app its own user";
        let diagnosis = refused_user(&failed_start(summary, "")).unwrap();
        assert_eq!(diagnosis.cause, "the app would run as user \"www-data\", which can connect");
        assert_eq!(diagnosis.remedy, "Give the app its own user.");
    }

    #[test]
    fn a_closed_directory_is_named_with_the_user() {
        let start =
            failed_start("the user \"alice\" cannot enter the directory /srv/shop: Permission denied", "");
        let diagnosis = closed_directory(&start).unwrap();
        assert_eq!(diagnosis.cause, "the app runs as the user alice, who may not enter /srv/shop");
        assert!(diagnosis.remedy.contains("chmod o+x /srv/shop."), "{}", diagnosis.remedy);
    }

    #[test]
    fn an_interpreter_is_missing_or_not_executable() {
        let of = |summary: &str| missing_interpreter(&failed_start(summary, "")).unwrap();
        let missing = of("cannot run \"ruby\": found in none of the directories of PATH (/bin)");
        assert!(missing.cause.ends_with("\"ruby\" is in none of the directories of PATH (/bin)"));
        assert!(missing.remedy.contains("passenger_ruby (here --ruby)"));
        let missing = of("cannot run \"node\": not found with the PATH of the login shell (/bin)");
        assert!(missing.cause.ends_with("\"node\" is in none of the directories of PATH (/bin)"));
        let nowhere = of("cannot run \"/opt/ruby\": No such file or directory");
        assert!(nowhere.cause.ends_with("\"/opt/ruby\": No such file or directory"));
        assert!(of("cannot run \"/opt/ruby\": Permission denied").remedy.contains("chmod a+rx"));
    }

    #[test]
    fn a_missing_startup_file_is_named() {
        let start = failed_start("the startup file /srv/shop/config.ru does not exist", "");
        assert_eq!(
            missing_startup_file(&start).unwrap().cause,
            "the startup file is missing: /srv/shop/config.ru"
        );
    }

    #[test]
    fn a_command_that_the_shell_does_not_find_is_reported() {
        let mut start = failed_start(
            "its process exited with status 127 before it was ready",
            "/bin/sh: 1: exec: servr: not found\n",
        );
        assert_eq!(missing_command(&start), None, "the status of a loader has another meaning");
        start.kind = AppKind::Generic;
        assert!(missing_command(&start).unwrap().cause.ends_with("servr: not found"));
    }
}
