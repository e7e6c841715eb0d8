//! Diagnoses of an app that starts but does not accept requests: it listens elsewhere or nowhere, is slow, or exits.

use protocol::request::AppKind;

use super::{Code, Diagnosis, FailedStart};

/// Diagnoses a port that is in use.
pub(super) fn taken_port(start: &FailedStart) -> Option<Diagnosis> {
    let line = start.line_with(&["EADDRINUSE", "Address already in use", "address already in use"])?;
    Some(Diagnosis::new(
        Code::PortInUse,
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
        Code::MissingVariable,
        format!("the start command uses {variable}, which is not set"),
        format!("Add \"{directive};\" next to passenger_app_start_command, or change the command."),
    ))
}

/// Diagnoses an app that listens on a port other than the given one.
pub(super) fn wrong_port(start: &FailedStart) -> Option<Diagnosis> {
    let port = start.port?;
    if !start.summary.contains("nothing listens") {
        return None;
    }
    let seen = start.ports.iter().flatten().copied().find(|other| *other != port);
    let cause = match seen {
        Some(other) => format!("the app listens on port {other} instead of {port}"),
        None if start.ports.is_some() => return None,
        None => {
            let line = start.text.lines().find(|line| announces_other_port(line, port))?;
            format!(
                "the app listens on another port than {port}, the one in PORT: it printed: {}",
                line.trim()
            )
        }
    };
    Some(Diagnosis::new(
        Code::WrongPort,
        cause,
        "Make it listen at 127.0.0.1 on the port in the variable PORT: pass it in the start command, as in \
         './server --port $PORT', or read it in the program.",
    ))
}

/// Whether a line of the output, such as `Listening on http://0.0.0.0:3000`, names another port.
fn announces_other_port(line: &str, port: u16) -> bool {
    let lower = line.to_ascii_lowercase();
    let numbers =
        || lower.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u16>().ok());
    let is_about_listening = ["listen", "running on", "running at", "serving", "started on"];
    let has_port = lower.contains("port ")
        || lower.rsplit_once(':').is_some_and(|(_, after)| after.starts_with(|c: char| c.is_ascii_digit()));
    is_about_listening.iter().any(|word| lower.contains(word))
        && has_port
        && numbers().any(|number| number > 255)
        && numbers().all(|number| number != port)
}

/// Diagnoses an app that answers, but not as `passenger_app_ready_path` requires.
pub(super) fn failed_ready_check(start: &FailedStart) -> Option<Diagnosis> {
    let (_, why) = start.summary.split_once("(passenger_start_timeout): GET ")?;
    Some(Diagnosis::new(
        Code::ReadyCheckFailed,
        format!("the app does not report that it is ready: GET {why}"),
        "The path of passenger_app_ready_path must return a status below 400 when the app can serve requests.",
    ))
}

/// Diagnoses an app that runs but does not become ready.
pub(super) fn not_ready(start: &FailedStart) -> Option<Diagnosis> {
    let (_, rest) = start.summary.split_once("it was not ready within ")?;
    let (limit, _) = rest.split_once(" (")?;
    let problem = format!("the app runs, and was not ready within {limit}");
    let slow = format!("If it needs more time, increase passenger_start_timeout{}.", start.here("--timeout"));
    Some(match (start.kind, start.port) {
        (AppKind::Generic | AppKind::Meteor, Some(port)) => Diagnosis::new(
            Code::NotReady,
            match start.ports {
                Some(_) => format!("{problem}: it listens on no port"),
                None => {
                    format!("{problem}: nothing listens at 127.0.0.1:{port}, the port in the variable PORT")
                }
            },
            format!(
                "It must listen at 127.0.0.1 on the port in the variable PORT, here {port}, and stay in the \
                 foreground. {slow}"
            ),
        ),
        (AppKind::Node, _) => Diagnosis::new(
            Code::NotReady,
            format!("{problem}: it has not called listen"),
            format!("The app must call listen on an http server; the port does not matter. {slow}"),
        ),
        _ => Diagnosis::new(
            Code::NotReady,
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
    Some(Diagnosis::new(Code::Killed, format!("the app's process was killed by signal {signal}"), advice))
}

/// Diagnoses an app that exited by itself.
pub(super) fn early_exit(start: &FailedStart) -> Option<Diagnosis> {
    let (_, status) = start.summary.split_once("exited with status ")?;
    let status = status.split(' ').next().unwrap_or(status);
    if status == "0" {
        return Some(Diagnosis::new(
            Code::Exited,
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
        Code::Exited,
        format!("the app's process exited immediately, with status {status}{}", last.unwrap_or_default()),
        format!("Check {}. To run it manually: {}.", start.output(), start.as_user("COMMAND")),
    ))
}

#[cfg(test)]
mod tests {

    use super::super::tests::failed_start;
    use super::*;

    fn generic(summary: &str, text: &str, ports: &[u16]) -> FailedStart {
        let ports = Some(ports.iter().copied().collect());
        FailedStart { kind: AppKind::Generic, port: Some(5000), ports, ..failed_start(summary, text) }
    }

    const NOT_READY: &str = "it was not ready within 3 s (passenger_start_timeout): nothing listens: Connection refused (os error 111)";

    #[test]
    fn a_variable_that_is_not_set_is_named_with_its_directive() {
        let hint = "; its start command uses $SOCKET, which is set with \"passenger_app_listen socket\" only: here it is \
                    \"port\"";
        let found = Diagnosis::of(&generic(&format!("{NOT_READY}{hint}"), "", &[]));
        assert_eq!(found.cause, "the start command uses $SOCKET, which is not set");
        assert!(found.remedy.starts_with("Add \"passenger_app_listen socket;\""), "{}", found.remedy);
    }

    #[test]
    fn a_wrong_port_is_distinguished_from_none() {
        let wrong = Diagnosis::of(&generic(NOT_READY, "", &[3000]));
        assert_eq!(wrong.cause, "the app listens on port 3000 instead of 5000");
        let none = Diagnosis::of(&generic(NOT_READY, "", &[]));
        assert_eq!(none.cause, "the app runs, and was not ready within 3 s: it listens on no port");
        assert!(none.remedy.contains("here 5000,"), "{}", none.remedy);
    }

    #[test]
    fn without_the_ports_the_output_may_name_one() {
        let unknown = |text: &str| FailedStart { ports: None, ..generic(NOT_READY, text, &[]) };
        for printed in
            ["Listening on http://0.0.0.0:3000", "server running on port 3000", "Listening on :8080"]
        {
            let found = Diagnosis::of(&unknown(printed));
            assert_eq!(found.code, Code::WrongPort, "{printed}");
            assert!(found.cause.ends_with(&format!("it printed: {printed}")), "{}", found.cause);
        }
        for printed in ["Listening on port 5000", "listening to events: 12", "loading 3000 users", ""] {
            let found = Diagnosis::of(&unknown(printed));
            assert!(found.cause.contains("nothing listens at 127.0.0.1:5000"), "{}", found.cause);
        }
    }

    #[test]
    fn an_app_that_blocks_while_it_is_loaded_is_reported() {
        let summary = "it was not ready within 90 s (passenger_start_timeout)";
        assert_eq!(
            Diagnosis::of(&failed_start(summary, "")).cause,
            "the app runs, and was not ready within 90 s"
        );
        let node = FailedStart { kind: AppKind::Node, ..failed_start(summary, "") };
        assert!(Diagnosis::of(&node).cause.ends_with("it has not called listen"));
    }

    #[test]
    fn a_failed_ready_check_is_named() {
        let summary = "it was not ready within 3 s (passenger_start_timeout): GET /up was answered with 500 \
                       (passenger_app_ready_path)";
        let problem = Diagnosis::of(&generic(summary, "", &[5000])).cause;
        assert!(
            problem.starts_with("the app does not report that it is ready: GET /up was answered with 500"),
            "{problem}"
        );
    }

    #[test]
    fn an_exit_is_reported_with_its_kind() {
        let of = |how: &str, text: &str| {
            Diagnosis::of(&generic(&format!("its process {how} before it was ready"), text, &[]))
        };
        assert!(of("exited with status 0", "").remedy.contains("stay in the foreground"));
        assert!(of("exited with status 3", "bad\n\n").cause.ends_with("with status 3; its last output: bad"));
        assert!(of("was killed by signal 9 (SIGKILL)", "").remedy.contains("dmesg"));
        assert!(of("was killed by signal 11 (SIGSEGV)", "").remedy.contains("library with native code"));
        assert!(
            of("exited with status 1", "Error: listen EADDRINUSE: address already in use :::80")
                .cause
                .contains("already in use")
        );
    }
}
