//! Diagnoses of an app that starts but does not respond correctly.

use diagnosis::{Code, Diagnosis};

use crate::doctor::run::AppRun;
use crate::doctor::test_request::TestResponse;
use crate::printable;

/// Returns the problem with the response; `None` when there is none.
pub(super) fn of(run: &AppRun) -> Option<Diagnosis> {
    match run.response.as_ref()? {
        Err(err) => Some(Diagnosis::new(
            Code::NoResponse,
            format!("the app starts, but does not respond: {err}"),
            "Its code waits, for example for a database, a lock or another service. While it serves, passenger-status \
             --show=requests shows which requests hang, and kill -QUIT PID makes a Ruby or Python process print where \
             each of its threads is. Test another page with --path.",
        )),
        Ok(response) if response.is_success() => None,
        Ok(response) if response.pid == 0 => Some(replaced(response, run)),
        Ok(TestResponse { abort_reason: Some(reason), .. }) => Some(Diagnosis::new(
            Code::NoResponse,
            format!("the app aborts its response: {reason}"),
            "Its process exited, or closed the connection, before the end of the response. Check its output above.",
        )),
        Ok(response) => Some(Diagnosis::new(
            Code::ErrorResponse,
            format!("the app responds with status {}: {}", response.status, first_line(&response.body)),
            "The app has handled this error itself: check its own log. With --environment development many frameworks \
             show the error in the response.",
        )),
    }
}

/// Diagnoses a response that the daemon sent in place of the app.
fn replaced(response: &TestResponse, run: &AppRun) -> Diagnosis {
    let reason = run.last("request_failed").and_then(|reason| reason.lines().next());
    let exit = run.last("process_exited").map(|how| format!("; its process {how}")).unwrap_or_default();
    Diagnosis::new(
        Code::NoResponse,
        format!(
            "the app starts, but does not respond: {}{exit}; visitors get status {}",
            reason.unwrap_or("no reason was logged"),
            response.status
        ),
        "The app's code failed, or its process exited. Check its output above.",
    )
}

fn first_line(body: &str) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the body is empty");
    printable(&line.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::log_line::LogLine;

    fn run(response: Result<TestResponse, String>, events: &[(&str, &str)]) -> AppRun {
        let line = |(event, detail): &(&str, &str)| LogLine {
            event: (*event).to_owned(),
            detail: (*detail).to_owned(),
            ..LogLine::default()
        };
        AppRun { response: Some(response), log: events.iter().map(line).collect(), ..AppRun::default() }
    }

    fn response(status: u16, pid: u32) -> TestResponse {
        TestResponse { status, pid, body: "\nbad \u{1b}[2Jthings\nmore".into(), ..TestResponse::default() }
    }

    #[test]
    fn a_successful_response_has_no_diagnosis() {
        assert_eq!(of(&run(Ok(response(404, 7)), &[])), None);
    }

    #[test]
    fn an_error_of_the_app_is_reported_with_its_first_line() {
        let diagnosis = of(&run(Ok(response(500, 7)), &[])).unwrap();
        assert_eq!(diagnosis.cause, "the app responds with status 500: bad ?[2Jthings");
    }

    #[test]
    fn a_replaced_response_is_reported_with_reason_and_exit() {
        let failed = ("request_failed", "it failed: RuntimeError: oops\n\n at x");
        let problem = |events: &[_]| of(&run(Ok(response(502, 0)), events)).unwrap().cause;
        assert_eq!(
            problem(&[failed]),
            "the app starts, but does not respond: it failed: RuntimeError: oops; visitors get status 502"
        );
        let exited = problem(&[failed, ("process_exited", "exited with status 3")]);
        assert!(exited.contains("oops; its process exited with status 3; visitors"), "{exited}");
    }

    #[test]
    fn a_timeout_and_an_aborted_response_are_reported() {
        let problem = |response| of(&run(response, &[])).unwrap().cause;
        assert!(problem(Err("no response within 60 s".into())).contains("within 60 s"));
        let aborted = TestResponse { abort_reason: Some("closed".into()), ..response(200, 7) };
        assert!(problem(Ok(aborted)).contains("aborts its response: closed"));
    }
}
