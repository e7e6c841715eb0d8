//! Diagnoses of an app that starts but does not accept requests: it listens elsewhere or nowhere, is slow, or exits.

use protocol::request::AppKind;

use super::{Diagnosis, FailedStart};

/// Diagnoses a port that is in use.
pub(super) fn taken_port(start: &FailedStart) -> Option<Diagnosis> {
    let line = start.line_with(&["EADDRINUSE", "Address already in use", "address already in use"])?;
    Some(Diagnosis::new(
        format!("the app's port is already in use: {}", line.trim()),
        "Make it listen on the port in the variable PORT, which differs for each process. Only one process can listen \
         on a fixed port, and a running process of the app may use it.",
    ))
}

/// Diagnoses a start command that uses a variable which is not set.
pub(super) fn missing_variable(start: &FailedStart) -> Option<Diagnosis> {
    let (_, hint) = start.summary.split_once("; its start command uses ")?;
    let (variable, rest) = hint.split_once(',')?;
    let (_, directive) = rest.split_once('"')?;
    let (directive, _) = directive.split_once('"')?;
    Some(Diagnosis::new(
        format!("the start command uses {variable}, which is not set"),
        format!("Add \"{directive};\" next to passenger_app_start_command, or change the command."),
    ))
}

/// Diagnoses an app that listens on a port other than the given one.
pub(super) fn wrong_port(start: &FailedStart) -> Option<Diagnosis> {
    let port = start.port?;
    let other = start.ports.iter().find(|other| **other != port)?;
    if !start.summary.contains("nothing listens") {
        return None;
    }
    Some(Diagnosis::new(
        format!("the app listens on port {other} instead of {port}"),
        "Make it listen at 127.0.0.1 on the port in the variable PORT: pass it in the start command, as in \
         './server --port $PORT', or read it in the program.",
    ))
}

/// Diagnoses an app that answers, but not as `passenger_app_ready_path` requires.
pub(super) fn failed_ready_check(start: &FailedStart) -> Option<Diagnosis> {
    let (_, why) = start.summary.split_once("(passenger_start_timeout): GET ")?;
    Some(Diagnosis::new(
        format!("the app does not report that it is ready: GET {why}"),
        "The path of passenger_app_ready_path must return a status below 400 when the app can serve requests.",
    ))
}

/// Diagnoses an app that runs but does not become ready.
pub(super) fn not_ready(start: &FailedStart) -> Option<Diagnosis> {
    let (_, rest) = start.summary.split_once("it was not ready within ")?;
    let (limit, _) = rest.split_once(" (")?;
    let problem = format!("the app runs, and was not ready within {limit}");
    let slow = "If it needs more time, increase passenger_start_timeout (here --timeout).";
    Some(match (start.kind, start.port) {
        (AppKind::Generic | AppKind::Meteor, Some(port)) => Diagnosis::new(
            format!("{problem}: it listens on no port"),
            format!(
                "It must listen at 127.0.0.1 on the port in the variable PORT, here {port}, and stay in the \
                 foreground. {slow}"
            ),
        ),
        (AppKind::Node, _) => Diagnosis::new(
            format!("{problem}: it has not called listen"),
            format!("The app must call listen on an http server; the port does not matter. {slow}"),
        ),
        _ => Diagnosis::new(
            problem,
            format!(
                "Its code blocks while it is loaded, for example on a connection or in an endless loop. {slow}"
            ),
        ),
    })
}

/// Diagnoses an app killed by a signal.
pub(super) fn killed(start: &FailedStart) -> Option<Diagnosis> {
    let (_, signal) = start.summary.split_once("was killed by signal ")?;
    let signal = signal.split(" before").next().unwrap_or(signal);
    let advice = if signal.starts_with("9 ") {
        "Another process or the kernel killed it. The kernel does so when memory is exhausted: check dmesg and free."
    } else {
        "Native code has crashed: the interpreter, or a library with native code that was built for another release. \
         Reinstall it."
    };
    Some(Diagnosis::new(format!("the app's process was killed by signal {signal}"), advice))
}

/// Diagnoses an app that exited by itself.
pub(super) fn early_exit(start: &FailedStart) -> Option<Diagnosis> {
    let (_, status) = start.summary.split_once("exited with status ")?;
    let status = status.split(' ').next().unwrap_or(status);
    if status == "0" {
        return Some(Diagnosis::new(
            "the app's process exited immediately, with status 0",
            "It must stay in the foreground: remove options that send it to the background, such as --daemon or a \
             final &. If it is not a server, it cannot serve requests.",
        ));
    }
    let last = start
        .text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .map(|line| format!("; its last output: {}", line.trim()));
    Some(Diagnosis::new(
        format!("the app's process exited immediately, with status {status}{}", last.unwrap_or_default()),
        format!("Check its output above. To run it manually: {}.", start.as_user("COMMAND")),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::of_start;
    use super::super::tests::failed_start;
    use super::*;

    fn generic(summary: &str, text: &str, ports: &[u16]) -> FailedStart {
        let ports = ports.iter().copied().collect();
        FailedStart { kind: AppKind::Generic, port: Some(5000), ports, ..failed_start(summary, text) }
    }

    const NOT_READY: &str = "it was not ready within 3 s (passenger_start_timeout): nothing listens: Connection refused (os error 111)";

    #[test]
    fn a_variable_that_is_not_set_is_named_with_its_directive() {
        let hint = "; its start command uses $SOCKET, which is set with \"passenger_app_listen socket\" only: here it is \
                    \"port\"";
        let found = of_start(&generic(&format!("{NOT_READY}{hint}"), "", &[]));
        assert_eq!(found.problem, "the start command uses $SOCKET, which is not set");
        assert!(found.advice.starts_with("Add \"passenger_app_listen socket;\""), "{}", found.advice);
    }

    #[test]
    fn a_wrong_port_is_distinguished_from_none() {
        let wrong = of_start(&generic(NOT_READY, "", &[3000]));
        assert_eq!(wrong.problem, "the app listens on port 3000 instead of 5000");
        let none = of_start(&generic(NOT_READY, "", &[]));
        assert_eq!(none.problem, "the app runs, and was not ready within 3 s: it listens on no port");
        assert!(none.advice.contains("here 5000,"), "{}", none.advice);
    }

    #[test]
    fn an_app_that_blocks_while_it_is_loaded_is_reported() {
        let summary = "it was not ready within 90 s (passenger_start_timeout)";
        assert_eq!(
            of_start(&failed_start(summary, "")).problem,
            "the app runs, and was not ready within 90 s"
        );
        let node = FailedStart { kind: AppKind::Node, ..failed_start(summary, "") };
        assert!(of_start(&node).problem.ends_with("it has not called listen"));
    }

    #[test]
    fn a_failed_ready_check_is_named() {
        let summary = "it was not ready within 3 s (passenger_start_timeout): GET /up was answered with 500 \
                       (passenger_app_ready_path)";
        let problem = of_start(&generic(summary, "", &[5000])).problem;
        assert!(
            problem.starts_with("the app does not report that it is ready: GET /up was answered with 500"),
            "{problem}"
        );
    }

    #[test]
    fn an_exit_is_reported_with_its_kind() {
        let of = |how: &str, text: &str| {
            of_start(&generic(&format!("its process {how} before it was ready"), text, &[]))
        };
        assert!(of("exited with status 0", "").advice.contains("stay in the foreground"));
        assert!(
            of("exited with status 3", "bad\n\n").problem.ends_with("with status 3; its last output: bad")
        );
        assert!(of("was killed by signal 9 (SIGKILL)", "").advice.contains("dmesg"));
        assert!(of("was killed by signal 11 (SIGSEGV)", "").advice.contains("library with native code"));
        assert!(
            of("exited with status 1", "Error: listen EADDRINUSE: address already in use :::80")
                .problem
                .contains("already in use")
        );
    }
}
