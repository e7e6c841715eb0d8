//! The liveness check of the router: pings it after a period of silence and gives it up if it does not answer.
//!
//! It is pure: it takes the time and returns an action.

use std::time::{Duration, Instant};

/// Maximum ping interval and ping timeout.
const MAX: Duration = Duration::from_secs(30);
/// Minimum ping interval and ping timeout, for a loaded machine.
const MIN: Duration = Duration::from_secs(1);

/// Returns the ping interval, which is also the ping timeout: half the watchdog interval of the service manager.
pub(crate) fn limit(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(MAX, |watchdog| (watchdog / 2).clamp(MIN, MAX))
}

/// The heartbeat of one router.
#[derive(Debug)]
pub(super) struct Heartbeat {
    limit: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A message was received; the router is pinged at `ping_at`.
    Idle { ping_at: Instant },
    /// The router was pinged and has to send a message until then.
    Pinged { until: Instant },
}

/// The action that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeartbeatAction {
    Nothing,
    Ping,
    GiveUp,
}

impl Heartbeat {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, state: State::Idle { ping_at: now + limit } }
    }

    /// Returns the ping interval and timeout.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Records that a message was received.
    pub(super) fn note_message(&mut self, now: Instant) {
        self.state = State::Idle { ping_at: now + self.limit };
    }

    /// When [`Heartbeat::step`] has to run.
    pub(super) fn due(&self) -> Instant {
        match self.state {
            State::Idle { ping_at } => ping_at,
            State::Pinged { until } => until,
        }
    }

    /// Returns the action that is due at `now`.
    pub(super) fn step(&mut self, now: Instant) -> HeartbeatAction {
        match self.state {
            State::Idle { ping_at } if ping_at <= now => {
                self.state = State::Pinged { until: now + self.limit };
                HeartbeatAction::Ping
            }
            // If the check is this late, the supervisor was stopped, too, as in a frozen container: extend the limit.
            State::Pinged { until } if until + self.limit / 4 < now => {
                self.state = State::Pinged { until: now + self.limit };
                HeartbeatAction::Nothing
            }
            State::Pinged { until } if until <= now => HeartbeatAction::GiveUp,
            State::Idle { .. } | State::Pinged { .. } => HeartbeatAction::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_router_that_answers_is_pinged_at_intervals() {
        let began = Instant::now();
        let mut heartbeat = Heartbeat::new(10 * SECOND, began);
        for round in 1..5 {
            let now = heartbeat.due();
            assert_eq!(now, began + round * 10 * SECOND);
            assert_eq!(heartbeat.step(now - SECOND), HeartbeatAction::Nothing);
            assert_eq!(heartbeat.step(now), HeartbeatAction::Ping);
            assert_eq!(heartbeat.step(now), HeartbeatAction::Nothing, "one question at a time");
            heartbeat.note_message(now);
        }
    }

    #[test]
    fn a_silent_router_is_given_up_after_the_timeout() {
        let mut heartbeat = Heartbeat::new(10 * SECOND, Instant::now());
        let asked = heartbeat.due();
        heartbeat.step(asked);
        assert_eq!(heartbeat.step(asked + 9 * SECOND), HeartbeatAction::Nothing);
        assert_eq!(heartbeat.step(asked + 10 * SECOND), HeartbeatAction::GiveUp);
    }

    #[test]
    fn the_timeout_restarts_after_both_processes_were_stopped() {
        let mut heartbeat = Heartbeat::new(10 * SECOND, Instant::now());
        heartbeat.step(heartbeat.due());
        let thawed = heartbeat.due() + 100 * SECOND;
        assert_eq!(heartbeat.step(thawed), HeartbeatAction::Nothing);
        assert_eq!(heartbeat.step(thawed + 10 * SECOND), HeartbeatAction::GiveUp);
    }

    #[test]
    fn the_timeout_is_shorter_than_that_of_the_service_manager() {
        assert_eq!(limit(None), MAX);
        assert_eq!(limit(Some(30 * SECOND)), 15 * SECOND);
        assert_eq!(limit(Some(SECOND / 5)), MIN);
        assert_eq!(limit(Some(600 * SECOND)), MAX);
    }
}
