//! Diagnoses of the app's code from messages of Ruby, Python and Node.js: what it cannot load, read or reach.

use protocol::request::AppKind;

use super::failed_start::{between, from_root, word};
use super::{Code, Diagnosis, FailedStart};

/// Diagnoses a syntax error.
pub(super) fn syntax_error(start: &FailedStart) -> Option<Diagnosis> {
    let line = start.line_with(&["the app has a syntax error: ", "SyntaxError"])?;
    let what = line.split_once("syntax error: ").map_or(line, |(_, what)| what);
    let location = start.code_location().unwrap_or_else(|| "the location in the message".to_owned());
    Some(Diagnosis::new(
        Code::SyntaxError,
        format!("a file of the app has a syntax error: {what}"),
        format!("Fix {location}, or use the release of the language for which the code is written."),
    ))
}

/// Diagnoses a missing environment variable.
pub(super) fn missing_variable(start: &FailedStart) -> Option<Diagnosis> {
    let line = start.line_with(&[
        "key not found: ",
        "KeyError: ",
        "environment variable",
        "is not set",
        "must be set",
    ])?;
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let name = words.into_iter().find(|word| is_variable(word))?;
    Some(Diagnosis::new(
        Code::MissingVariable,
        format!("the app needs the variable {name}, which is not in its environment"),
        format!(
            "Set it in nginx.conf: passenger_env_var {name} VALUE; or in the environment of the daemon. Apps do not \
             inherit nginx's environment.{}",
            if start.in_doctor { format!(" To test it here: --env {name}=VALUE.") } else { String::new() }
        ),
    ))
}

/// Whether this may be a variable's name: in capitals, with several words or long enough not to be a C constant.
fn is_variable(word: &str) -> bool {
    let capitals =
        word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    capitals && word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Diagnoses a file or directory that the app's user may not access.
pub(super) fn forbidden_file(start: &FailedStart) -> Option<Diagnosis> {
    let line = start.line_with(&["EACCES", "PermissionError", "Errno::EACCES", "Permission denied"])?;
    let ruby = line.rsplit_once(" - ").map(|(_, path)| path.split(" (").next().unwrap_or(path));
    let quoted =
        line.rsplit_once('\'').and_then(|(before, _)| before.rsplit_once('\'')).map(|(_, path)| path);
    let path = if line.contains("@ rb_") { ruby } else { quoted }?;
    let (path, user) = (from_root(&start.root, path), start.user_name());
    Some(Diagnosis::new(
        Code::ForbiddenFile,
        format!("the app runs as the user {user}, who may not read or write {path}"),
        format!(
            "Check its permissions: ls -ld {}. Change its owner (chown), or run the app as its owner: an app runs as \
             the owner of its startup file, or as passenger_user{}.",
            word(&path),
            start.here("--user")
        ),
    ))
}

/// Diagnoses a database or another service that cannot be reached.
pub(super) fn unreachable_service(start: &FailedStart) -> Option<Diagnosis> {
    if start.summary.contains("nothing listens") {
        return None;
    }
    let line = start.line_with(&[
        "ECONNREFUSED",
        "Connection refused",
        "could not connect to server",
        "Can't connect to",
    ])?;
    Some(Diagnosis::new(
        Code::UnreachableService,
        format!("a service that the app needs refuses connections: {}", line.trim()),
        "Check that the service, such as a database or a cache, runs at the address in the app's configuration or \
         environment.",
    ))
}

/// Diagnoses a startup file that defines no application.
pub(super) fn no_application(start: &FailedStart) -> Option<Diagnosis> {
    let file = between(&start.summary, "the startup file ", " does not define ")?;
    let example = match start.kind {
        AppKind::Python => {
            "For Django: from PROJECT.wsgi import application. For Flask: from MODULE import app.".to_owned()
        }
        _ => format!("Specify another file with passenger_startup_file{}.", start.here("--startup-file")),
    };
    Some(Diagnosis::new(
        Code::NoApplication,
        format!("the startup file {file} contains no application"),
        format!("It must define `application` or `app`, which is called for each request. {example}"),
    ))
}

/// Diagnoses any other failure while the app was loaded.
pub(super) fn failed_load(start: &FailedStart) -> Option<Diagnosis> {
    let what = start.summary.strip_prefix("the app failed while it was loaded: ")?;
    let remedy = start.code_location().map_or_else(
        || "The backtrace shows the location.".to_owned(),
        |location| format!("Fix the app's code at {location}; the backtrace shows the way to it."),
    );
    Some(Diagnosis::new(
        Code::LoadError,
        format!("the app raises an error while it is loaded: {what}"),
        remedy,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::failed_start;
    use super::*;

    #[test]
    fn a_startup_file_without_an_application_is_named() {
        let summary = "the startup file /srv/shop/passenger_wsgi.py does not define `application`";
        let start = FailedStart { kind: AppKind::Python, ..failed_start(summary, "") };
        let diagnosis = no_application(&start).unwrap();
        assert_eq!(diagnosis.cause, "the startup file /srv/shop/passenger_wsgi.py contains no application");
    }

    #[test]
    fn variables_are_recognized_by_their_names() {
        for (text, name) in [
            ("the app failed while it was loaded: KeyError: key not found: \"API_TOKEN\"", "API_TOKEN"),
            ("the app failed while it was loaded: KeyError: 'DATABASE_URL'", "DATABASE_URL"),
            (
                "the app failed while it was loaded: Error: SECRET_KEY environment variable is not set",
                "SECRET_KEY",
            ),
        ] {
            let problem = missing_variable(&failed_start(text, "")).unwrap().cause;
            assert_eq!(
                problem,
                format!("the app needs the variable {name}, which is not in its environment")
            );
        }
        assert_eq!(missing_variable(&failed_start("KeyError: 'name'", "")), None, "a key of a dictionary");
    }

    #[test]
    fn an_inaccessible_file_is_named() {
        for line in [
            "the app failed while it was loaded: Errno::EACCES: Permission denied @ rb_sysopen - log/x.log",
            "the app failed while it was loaded: PermissionError: [Errno 13] Permission denied: 'log/x.log'",
            "the app failed while it was loaded: Error: EACCES: permission denied, open 'log/x.log'",
        ] {
            let problem = forbidden_file(&failed_start(line, "")).unwrap().cause;
            assert_eq!(
                problem,
                "the app runs as the user alice, who may not read or write /srv/shop/log/x.log"
            );
        }
    }

    #[test]
    fn other_errors_are_reported_with_their_location() {
        let text = "/srv/shop/config.ru:3:in `block': undefined (NoMethodError)";
        let diagnosis =
            failed_load(&failed_start("the app failed while it was loaded: NoMethodError: undefined", text))
                .unwrap();
        assert!(diagnosis.remedy.contains("config.ru:3;"), "{}", diagnosis.remedy);
        let syntax = syntax_error(&failed_start("the app has a syntax error: unexpected end", text)).unwrap();
        assert!(syntax.remedy.starts_with("Fix config.ru:3,"), "{}", syntax.remedy);
    }

    #[test]
    fn an_unreachable_service_is_distinguished_from_the_app() {
        let line = "the app failed while it was loaded: Error: connect ECONNREFUSED 127.0.0.1:5432";
        assert!(unreachable_service(&failed_start(line, "")).unwrap().cause.ends_with("127.0.0.1:5432"));
        assert_eq!(unreachable_service(&failed_start("nothing listens: Connection refused", "")), None);
    }
}
