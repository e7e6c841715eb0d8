//! Diagnoses of an app that starts but does not accept requests: it listens elsewhere or nowhere, is slow, or exits.

use protocol::request::AppKind;

use super::{Diagnosis, Seen};

/// Diagnoses a port that is in use.
pub(super) fn taken_port(seen: &Seen) -> Option<Diagnosis> {
    let line = seen.line_with(&["EADDRINUSE", "Address already in use", "address already in use"])?;
    Some(Diagnosis::new(
        format!("the app wants a port that is taken: {}", line.trim()),
        "Have it listen where it is told: every process gets a port of its own in the variable PORT. A fixed \
         one is free for one process at most, and the app that serves may have it.",
    ))
}

/// Diagnoses a start command that uses a variable which is not set.
pub(super) fn missing_variable(seen: &Seen) -> Option<Diagnosis> {
    let (_, hint) = seen.summary.split_once("; its start command uses ")?;
    let (variable, rest) = hint.split_once(',')?;
    let (_, directive) = rest.split_once('"')?;
    let (directive, _) = directive.split_once('"')?;
    Some(Diagnosis::new(
        format!("the start command uses {variable}, which is not set"),
        format!("Add \"{directive};\" beside passenger_app_start_command, or change the command."),
    ))
}

/// Diagnoses an app that listens on a port other than the given one.
pub(super) fn wrong_port(seen: &Seen) -> Option<Diagnosis> {
    let port = seen.port?;
    let other = seen.ports.iter().find(|other| **other != port)?;
    if !seen.summary.contains("nothing listens") {
        return None;
    }
    Some(Diagnosis::new(
        format!("the app listens on port {other}, and was told {port}"),
        "Have it listen at 127.0.0.1 on the port in the variable PORT: give it in the start command, as in \
         './server --port $PORT', or read it in the program.",
    ))
}

/// Diagnoses an app that answers, but not as `passenger_app_ready_path` requires.
pub(super) fn not_well(seen: &Seen) -> Option<Diagnosis> {
    let (_, why) = seen.summary.split_once("(passenger_start_timeout): GET ")?;
    Some(Diagnosis::new(
        format!("the app is not ready by its own word: GET {why}"),
        "passenger_app_ready_path names that page: it has to answer below 400 when the app can take requests.",
    ))
}

/// Diagnoses an app that runs but does not become ready.
pub(super) fn silence(seen: &Seen) -> Option<Diagnosis> {
    let (_, rest) = seen.summary.split_once("it was not ready within ")?;
    let (limit, _) = rest.split_once(" (")?;
    let problem = format!("the app runs, and was not ready within {limit}");
    let slow = "If it takes so long: passenger_start_timeout (here --timeout).";
    Some(match (seen.kind, seen.port) {
        (AppKind::Generic | AppKind::Meteor, Some(port)) => Diagnosis::new(
            format!("{problem}: it listens on no port"),
            format!(
                "It has to listen at 127.0.0.1 on the port in the variable PORT, here {port}, and to stay in \
                 the foreground. {slow}"
            ),
        ),
        (AppKind::Node, _) => Diagnosis::new(
            format!("{problem}: it has not called listen"),
            format!(
                "The app has to call listen on an http server; the port that it names does not matter. {slow}"
            ),
        ),
        _ => Diagnosis::new(
            problem,
            format!(
                "Something in its code waits while it is loaded, such as a connection that is not answered, or \
                 an endless loop. {slow}"
            ),
        ),
    })
}

/// Diagnoses an app killed by a signal.
pub(super) fn killed(seen: &Seen) -> Option<Diagnosis> {
    let (_, signal) = seen.summary.split_once("was killed by signal ")?;
    let signal = signal.split(" before").next().unwrap_or(signal);
    let advice = if signal.starts_with("9 ") {
        "Another process or the kernel killed it. The kernel does so when memory is exhausted: check dmesg and free."
    } else {
        "A program in C has crashed: the interpreter, or a library with code in C. Was that built for another \
         release? Install it anew."
    };
    Some(Diagnosis::new(format!("the app's process was killed by signal {signal}"), advice))
}

/// Diagnoses an app that exited by itself.
pub(super) fn early_exit(seen: &Seen) -> Option<Diagnosis> {
    let (_, status) = seen.summary.split_once("exited with status ")?;
    let status = status.split(' ').next().unwrap_or(status);
    if status == "0" {
        return Some(Diagnosis::new(
            "the app's process has ended at once, with status 0",
            "It has to stay in the foreground: leave out what sends it to the background, such as --daemon or a \
             final &. Or has it done its work, and is no server?",
        ));
    }
    let last = seen
        .text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .map(|line| format!("; its last words: {}", line.trim()));
    Some(Diagnosis::new(
        format!("the app's process has ended at once, with status {status}{}", last.unwrap_or_default()),
        format!("What it has printed, above, tells why. To see it by hand: {}.", seen.as_user("COMMAND")),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::of_start;
    use super::super::tests::seen;
    use super::*;

    fn generic(summary: &str, text: &str, ports: &[u16]) -> Seen {
        let ports = ports.iter().copied().collect();
        Seen { kind: AppKind::Generic, port: Some(5000), ports, ..seen(summary, text) }
    }

    const SILENT: &str = "it was not ready within 3 s (passenger_start_timeout): nothing listens: Connection refused (os error 111)";

    #[test]
    fn a_variable_that_is_not_set_is_named_with_its_directive() {
        let hint = "; its start command uses $SOCKET, which is set with \"passenger_app_listen socket\" only: here it is \
                    \"port\"";
        let found = of_start(&generic(&format!("{SILENT}{hint}"), "", &[]));
        assert_eq!(found.problem, "the start command uses $SOCKET, which is not set");
        assert!(found.advice.starts_with("Add \"passenger_app_listen socket;\""), "{}", found.advice);
    }

    #[test]
    fn a_wrong_port_is_told_from_none() {
        let wrong = of_start(&generic(SILENT, "", &[3000]));
        assert_eq!(wrong.problem, "the app listens on port 3000, and was told 5000");
        let none = of_start(&generic(SILENT, "", &[]));
        assert_eq!(none.problem, "the app runs, and was not ready within 3 s: it listens on no port");
        assert!(none.advice.contains("here 5000,"), "{}", none.advice);
    }

    #[test]
    fn an_app_that_waits_while_it_is_loaded_is_told() {
        let summary = "it was not ready within 90 s (passenger_start_timeout)";
        assert_eq!(of_start(&seen(summary, "")).problem, "the app runs, and was not ready within 90 s");
        let node = Seen { kind: AppKind::Node, ..seen(summary, "") };
        assert!(of_start(&node).problem.ends_with("it has not called listen"));
    }

    #[test]
    fn a_ready_path_that_answers_badly_is_named() {
        let summary = "it was not ready within 3 s (passenger_start_timeout): GET /up was answered with 500 \
                       (passenger_app_ready_path)";
        let problem = of_start(&generic(summary, "", &[5000])).problem;
        assert!(
            problem.starts_with("the app is not ready by its own word: GET /up was answered with 500"),
            "{problem}"
        );
    }

    #[test]
    fn an_end_is_told_with_its_kind() {
        let of = |how: &str, text: &str| {
            of_start(&generic(&format!("its process {how} before it was ready"), text, &[]))
        };
        assert!(of("exited with status 0", "").advice.contains("stay in the foreground"));
        assert!(
            of("exited with status 3", "bad\n\n").problem.ends_with("with status 3; its last words: bad")
        );
        assert!(of("was killed by signal 9 (SIGKILL)", "").advice.contains("dmesg"));
        assert!(of("was killed by signal 11 (SIGSEGV)", "").advice.contains("library with code in C"));
        assert!(
            of("exited with status 1", "Error: listen EADDRINUSE: address already in use :::80")
                .problem
                .contains("taken")
        );
    }
}
