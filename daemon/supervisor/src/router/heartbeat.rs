//! Whether a router still turns its loop: it is asked when it has been silent for a while, and given up when it does not
//! answer.
//!
//! Pure: moments come in, what is to be done goes out.

use std::time::{Duration, Instant};

/// How long a router may leave the question unanswered, unless a service manager wants to know sooner.
const LIMIT: Duration = Duration::from_secs(30);
/// What a loaded machine may need to let it run.
const LEAST: Duration = Duration::from_secs(1);

/// How long a router may be silent before it is asked, and then again before it is given up: half of what the service
/// manager lets the whole daemon be silent.
pub(crate) fn limit(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(LIMIT, |watchdog| (watchdog / 2).clamp(LEAST, LIMIT))
}

/// One router's.
#[derive(Debug)]
pub(super) struct Heartbeat {
    limit: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It has said something; it is asked then.
    Heard { ask_at: Instant },
    /// It was asked, and has to say something by then.
    Asked { until: Instant },
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeartbeatAction {
    Nothing,
    Ask,
    GiveUp,
}

impl Heartbeat {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, state: State::Heard { ask_at: now + limit } }
    }

    /// How long it may be silent.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// It has said something, whatever it was.
    pub(super) fn heard(&mut self, now: Instant) {
        self.state = State::Heard { ask_at: now + self.limit };
    }

    /// When to look again.
    pub(super) fn due(&self) -> Instant {
        match self.state {
            State::Heard { ask_at } => ask_at,
            State::Asked { until } => until,
        }
    }

    /// Goes on as the time has come to.
    pub(super) fn step(&mut self, now: Instant) -> HeartbeatAction {
        match self.state {
            State::Heard { ask_at } if ask_at <= now => {
                self.state = State::Asked { until: now + self.limit };
                HeartbeatAction::Ask
            }
            // Whoever looks that late was stopped as well, as in a container that was frozen: the router gets its time.
            State::Asked { until } if until + self.limit / 4 < now => {
                self.state = State::Asked { until: now + self.limit };
                HeartbeatAction::Nothing
            }
            State::Asked { until } if until <= now => HeartbeatAction::GiveUp,
            State::Heard { .. } | State::Asked { .. } => HeartbeatAction::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_that_answers_is_asked_once_in_a_while() {
        let began = Instant::now();
        let mut heartbeat = Heartbeat::new(10 * SECOND, began);
        for round in 1..5 {
            let now = heartbeat.due();
            assert_eq!(now, began + round * 10 * SECOND);
            assert_eq!(heartbeat.step(now - SECOND), HeartbeatAction::Nothing);
            assert_eq!(heartbeat.step(now), HeartbeatAction::Ask);
            assert_eq!(heartbeat.step(now), HeartbeatAction::Nothing, "one question at a time");
            heartbeat.heard(now);
        }
    }

    #[test]
    fn one_that_is_silent_is_given_up_when_its_time_is_over() {
        let mut heartbeat = Heartbeat::new(10 * SECOND, Instant::now());
        let asked = heartbeat.due();
        heartbeat.step(asked);
        assert_eq!(heartbeat.step(asked + 9 * SECOND), HeartbeatAction::Nothing);
        assert_eq!(heartbeat.step(asked + 10 * SECOND), HeartbeatAction::GiveUp);
    }

    #[test]
    fn one_that_was_stopped_together_with_who_asks_gets_its_time_again() {
        let mut heartbeat = Heartbeat::new(10 * SECOND, Instant::now());
        heartbeat.step(heartbeat.due());
        let thawed = heartbeat.due() + 100 * SECOND;
        assert_eq!(heartbeat.step(thawed), HeartbeatAction::Nothing);
        assert_eq!(heartbeat.step(thawed + 10 * SECOND), HeartbeatAction::GiveUp);
    }

    #[test]
    fn a_service_manager_hears_of_it_before_its_own_patience_ends() {
        assert_eq!(limit(None), LIMIT);
        assert_eq!(limit(Some(30 * SECOND)), 15 * SECOND);
        assert_eq!(limit(Some(SECOND / 5)), LEAST);
        assert_eq!(limit(Some(600 * SECOND)), LIMIT);
    }
}
