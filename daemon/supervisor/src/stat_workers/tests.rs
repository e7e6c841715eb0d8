//! Tests with workers that are not processes, and a clock controlled by the test.

use std::cell::Cell;
use std::io;

use super::restart_files::RestartFilesCheck;
use super::*;
use crate::router::outstanding::Outstanding;

#[derive(Debug, Default)]
struct Fake {
    asked: Cell<bool>,
    answers: bool,
    dismissed: bool,
    ended: bool,
}

impl Work for Fake {
    fn start() -> io::Result<Self> {
        Ok(Self::default())
    }

    fn ask(&self, _: &Question, _: Option<BorrowedFd<'_>>) -> io::Result<()> {
        assert!(!self.asked.replace(true), "one question at a time");
        Ok(())
    }

    fn receive(&mut self, _: &mut Buffer) -> Option<Answer> {
        if !std::mem::take(&mut self.answers) {
            return None;
        }
        self.asked.set(false);
        Some(Answer::RestartFiles(RestartFilesCheck::default()))
    }

    fn accepts_questions(&self) -> bool {
        !self.dismissed
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn dismiss(&mut self) {
        self.dismissed = true;
    }
}

struct Stage {
    workers: StatWorkers<u32, Fake>,
    now: Instant,
    outstanding: Outstanding,
}

impl Stage {
    fn new() -> Self {
        Self { workers: StatWorkers::default(), now: Instant::now(), outstanding: Outstanding::default() }
    }

    /// Asks a question and returns one word for each event.
    fn ask(&mut self, dir: &str, action: u32) -> Vec<String> {
        let share = self.outstanding.take(1);
        words(self.workers.ask(Question::RestartFiles(dir.into()), action, share, self.now))
    }

    fn answers(&mut self, at: usize) -> Vec<String> {
        self.workers.slots[at].worker.answers = true;
        let id = self.workers.slots[at].id;
        words(self.workers.receive(id, self.now))
    }

    /// Advances the clock to the next time that is due.
    fn wait(&mut self) -> Vec<String> {
        self.now = self.workers.due().expect("there is something to wait for");
        words(self.workers.check(self.now))
    }

    fn busy(&self) -> Vec<&str> {
        let tasks = self.workers.slots.iter().filter_map(|slot| slot.task.as_ref());
        tasks.map(|task| task.question.dir().to_str().unwrap()).collect()
    }
}

fn words(events: Vec<Event<u32>>) -> Vec<String> {
    let word = |event| match event {
        Event::Answered(action, Ok(_)) => format!("{action} answered"),
        Event::Answered(action, Err(why)) => format!("{action}: {why}"),
        Event::Hangs(question) => format!("{} hangs", question.dir().display()),
        Event::Recovered(dir) => format!("{} recovered", dir.display()),
    };
    events.into_iter().map(word).collect()
}

const NOTHING: [String; 0] = [];

#[test]
fn one_worker_is_enough_while_it_answers() {
    let mut stage = Stage::new();
    for action in 0..5 {
        assert_eq!(stage.ask("/srv/shop/tmp", action), NOTHING);
    }
    for action in 0..5 {
        assert_eq!(stage.answers(0), [format!("{action} answered")]);
    }
    assert_eq!((stage.workers.slots.len(), stage.workers.due()), (1, None));
}

#[test]
fn another_worker_helps_a_slow_one_and_is_dismissed_afterwards() {
    let mut stage = Stage::new();
    stage.ask("/slow", 1);
    stage.ask("/quick", 2);
    assert_eq!(stage.busy(), ["/slow"]);
    assert_eq!(stage.wait(), NOTHING);
    assert_eq!(stage.busy(), ["/slow", "/quick"]);
    assert_eq!(stage.answers(1), ["2 answered"]);
    assert_eq!(stage.answers(0), ["1 answered"]);
    assert!(stage.workers.slots[1].worker.dismissed, "one is enough again");
    stage.ask("/again", 3);
    assert_eq!(stage.busy(), ["/again"]);
}

#[test]
fn a_hanging_question_is_given_up_once_and_known_until_answered() {
    let mut stage = Stage::new();
    stage.ask("/dead", 1);
    let why = "/dead does not answer: the file system hangs";
    assert_eq!(stage.wait(), ["/dead hangs".to_owned(), format!("1: {why}")]);
    assert_eq!(stage.workers.due(), None);
    assert_eq!(stage.ask("/dead", 2), [format!("2: {why}")]);
    assert_eq!(stage.ask("/dead/alive", 3), NOTHING, "another may be mounted there");
    assert_eq!(stage.busy(), ["/dead", "/dead/alive"]);
    assert_eq!(stage.answers(0), ["/dead recovered"]);
    assert_eq!(stage.workers.problem(), None);
    assert_eq!(stage.ask("/dead", 5), NOTHING);
}

#[test]
fn the_same_question_waits_for_the_same_worker() {
    let mut stage = Stage::new();
    for action in 1..=3 {
        assert_eq!(stage.ask("/slow", action), NOTHING);
    }
    assert_eq!(stage.wait(), NOTHING);
    assert_eq!(stage.ask("/slow", 4), NOTHING);
    assert_eq!((stage.busy(), stage.workers.waiting.len()), (vec!["/slow"], 0));
    assert_eq!(stage.answers(0), ["1 answered", "2 answered", "3 answered", "4 answered"]);
}

#[test]
fn many_hanging_questions_delay_others_only_briefly() {
    let mut stage = Stage::new();
    let began = stage.now;
    for action in 0..20 {
        stage.ask(&format!("/dead/{action}"), action);
    }
    stage.ask("/alive", 99);
    while !stage.busy().contains(&"/alive") {
        assert_eq!(stage.wait(), NOTHING);
    }
    assert!(stage.now - began <= 20 * SLOW);
}

#[test]
fn questions_time_out_when_all_workers_hang() {
    let mut stage = Stage::new();
    let most = u32::try_from(MAX_WORKERS).unwrap();
    for action in 0..=most {
        stage.ask(&format!("/dead/{action}"), action);
    }
    let mut given_up = Vec::new();
    while stage.workers.due().is_some() {
        given_up.extend(stage.wait().into_iter().filter(|word| !word.starts_with('/')));
    }
    assert_eq!(given_up.len(), MAX_WORKERS + 1);
    assert!(stage.workers.slots.len() <= MAX_WORKERS && stage.workers.waiting.is_empty());
}

#[test]
fn questions_of_an_ended_router_are_dropped() {
    let mut stage = Stage::new();
    stage.ask("/dead", 1);
    stage.ask("/next", 2);
    stage.workers.forget();
    assert_eq!(stage.wait(), ["/dead hangs"]);
    assert_eq!(stage.busy(), ["/dead"]);
}

#[test]
fn the_end_of_a_worker_fails_its_question_and_another_continues() {
    let mut stage = Stage::new();
    stage.ask("/one", 1);
    stage.ask("/two", 2);
    let id = stage.workers.slots[0].id;
    assert_eq!(words(stage.workers.ended(id, stage.now)), NOTHING, "it has not ended");
    stage.workers.slots[0].worker.ended = true;
    assert_eq!(words(stage.workers.ended(id, stage.now)), ["1: the stat worker has ended"]);
    assert_eq!(stage.busy(), ["/two"]);
}
