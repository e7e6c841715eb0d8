//! Diagnoses of an app that starts but does not answer correctly.

use super::Diagnosis;
use crate::doctor::conversation::Answer;
use crate::doctor::run::AppRun;

/// Returns the problem with the response; `None` when it is good.
pub(super) fn of(run: &AppRun) -> Option<Diagnosis> {
    match run.answer.as_ref()? {
        Err(why) => Some(Diagnosis::new(
            format!("the app starts, and does not answer: {why}"),
            "Something in its code waits: a database, a lock, another service. While it serves, passenger-status \
             --show=requests tells which requests hang, and kill -QUIT PID where each thread of a Ruby or \
             Python process is. Does another page answer (--path)?",
        )),
        Ok(answer) if answer.is_good() => None,
        Ok(answer) if answer.pid == 0 => Some(unanswered(answer, run)),
        Ok(Answer { broken: Some(why), .. }) => Some(Diagnosis::new(
            format!("the app breaks off its answer: {why}"),
            "Its process ended, or closed the connection, in the midst of it. What it has printed, above, tells more.",
        )),
        Ok(answer) => Some(Diagnosis::new(
            format!("the app answers with status {}: {}", answer.status, first_line(&answer.body)),
            "That is an error in the app itself, which it has handled: its own log tells more. With \
             --environment development many frameworks show it in the answer.",
        )),
    }
}

/// Diagnoses a response that the daemon sent in place of the app.
fn unanswered(answer: &Answer, run: &AppRun) -> Diagnosis {
    let told = run.log.iter().rev().find_map(|line| line.split_once(" did not answer ")?.1.split_once(": "));
    let why = told.map_or("it does not say why", |(_, why)| why.split("\\n").next().unwrap_or(why));
    let end = run.log.iter().find_map(|line| end_of_process(line));
    let end = end.map(|end| format!("; its process {end}")).unwrap_or_default();
    Diagnosis::new(
        format!("the app starts, and does not answer: {why}{end}; visitors get status {}", answer.status),
        "An error in the app's code, or the end of its process. What it has printed, above, tells where.",
    )
}

/// Returns the text `exited with status 3` of a process that exited unexpectedly.
fn end_of_process(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(": process ")?;
    let (_, end) = rest.split_once(' ')?;
    (end.starts_with("exited with ") || end.starts_with("was killed by ")).then_some(end)
}

fn first_line(body: &str) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the answer is empty");
    line.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(answer: Result<Answer, String>, log: &[&str]) -> AppRun {
        let log = log.iter().map(|line| (*line).to_owned()).collect();
        AppRun { answer: Some(answer), log, ..AppRun::default() }
    }

    fn answer(status: u16, pid: u32) -> Answer {
        Answer { status, pid, body: "\nbad \u{1b}[2Jthings\nmore".into(), ..Answer::default() }
    }

    #[test]
    fn a_good_answer_has_no_diagnosis() {
        assert_eq!(of(&run(Ok(answer(404, 7)), &[])), None);
    }

    #[test]
    fn an_error_of_the_apps_is_shown_with_its_first_line() {
        let diagnosis = of(&run(Ok(answer(500, 7)), &[])).unwrap();
        assert_eq!(diagnosis.problem, "the app answers with status 500: bad ?[2Jthings");
    }

    #[test]
    fn an_answer_in_its_place_is_told_with_the_daemons_reason() {
        let line = "[ W x ]: app /a (production): process 7 did not answer GET /: it failed: RuntimeError: oops\\n\\n at x";
        let diagnosis = of(&run(Ok(answer(502, 0)), &[line])).unwrap();
        assert!(
            diagnosis
                .problem
                .contains("does not answer: it failed: RuntimeError: oops; visitors get status 502")
        );
    }

    #[test]
    fn the_end_of_the_process_is_told() {
        let log = [
            "[ W x ]: app /a (production): process 7 did not answer GET /: it closed the connection",
            "[ W x ]: app /a (production): process 7 exited with status 3",
        ];
        let problem = of(&run(Ok(answer(502, 0)), &log)).unwrap().problem;
        assert!(
            problem.contains("it closed the connection; its process exited with status 3; visitors"),
            "{problem}"
        );
    }

    #[test]
    fn silence_and_a_broken_answer_are_told() {
        assert!(
            of(&run(Err("there was no answer within 60 s".into()), &[]))
                .unwrap()
                .problem
                .contains("within 60 s")
        );
        let broken = Answer { broken: Some("closed".into()), ..answer(200, 7) };
        assert!(of(&run(Ok(broken), &[])).unwrap().problem.contains("breaks off its answer: closed"));
    }
}
